"""Why a fact changes nothing: what is noted on its event. Stored in English, and translated where it is shown."""

from typing import Final

from django.utils.translation import gettext, gettext_noop

TWO_VALUES: Final = gettext_noop("The body says different things of the same field")
TWO_TOKENS: Final = gettext_noop("The body names different tokens")
TWO_SESSIONS: Final = gettext_noop("The body names different keys of ours")
TWO_LINKS: Final = gettext_noop("The body names different upstream connections")
UNUSABLE_ID: Final = gettext_noop("The id of the upstream connection is too long, or no plain word")
NO_ID: Final = gettext_noop("No upstream connection is named; the list is searched for it")
GUESSED: Final = gettext_noop("Ids and nothing more: it may be a removal, so the connection is read")
NOT_UNDERSTOOD: Final = gettext_noop("What it says of the connection is not understood")
ERASED: Final = gettext_noop("About what was erased: nothing of it is kept, and what it brings is removed")
OTHER_SESSION: Final = gettext_noop("The token and our own key name different sessions")
NO_PAIR: Final = gettext_noop("The token and our own key do not belong together")
OTHER_OWNER: Final = gettext_noop("The upstream connection belongs to another owner")


def in_words(note: str) -> str:
    """Return *note* in the active language. What follows a colon, the name of a field, stays as it is."""
    text, colon, name = note.partition(": ")
    return f"{gettext(text)}{colon}{name}" if text else ""
