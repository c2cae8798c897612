"""Every word that the vocabulary knows has a text, and every text keeps to the rules."""

import pytest

from business_os_banking import wording
from business_os_banking.exceptions import BusinessOSError, InvalidRequest
from business_os_banking.vocabulary import (
    KNOWN_CLASSES,
    ConnectionStatus,
    EndedBy,
    Group,
    SessionStatus,
    StatusReason,
)
from business_os_banking.wording import texts

ALL = {name: value for name, value in vars(wording).items() if isinstance(value, wording.Wording)} | {
    f"{name}.{key}": value
    for name in ("GROUPS", "ERRORS", "REASONS", "ENDED")
    for key, value in getattr(wording, name).items()
}


def test_nothing_is_left_without_words() -> None:
    assert set(texts.GROUPS) == set(Group)
    assert set(texts.REASONS) == set(StatusReason)
    assert set(texts.ENDED) == set(EndedBy)
    assert set(texts.CONNECTION_LABELS) == set(ConnectionStatus)
    assert set(texts.SESSION_LABELS) == set(SessionStatus)
    for error in BusinessOSError.__subclasses__():
        assert error.__name__ in texts.ERRORS
    for error_class in KNOWN_CLASSES:
        assert wording.for_error(error_class).title


@pytest.mark.parametrize("name", ALL)
def test_texts_are_plain_and_lead_on(name: str) -> None:
    found = ALL[name]
    whole = f"{found.title}. {found.text} {found.next_step}"
    assert all(str(part).strip() for part in (found.title, found.text, found.next_step))
    assert str(found.text).endswith(".")
    assert str(found.next_step).endswith(".")
    assert max(len(sentence.split()) for sentence in whole.split(".")) <= 22
    for word in ("API", "error", "invalid", "HTTP", "server", "token", "webhook", "fail", "your fault"):
        assert word.lower() not in whole.lower()


def test_the_upstreams_own_class_counts_where_it_speaks_of_the_customer() -> None:
    duplicated = InvalidRequest("no", error_class="ConnectionDuplicated")
    assert wording.for_exception(duplicated) == texts.GROUPS[Group.ALREADY_CONNECTED]
    strange = InvalidRequest("no", error_class="WrongRequestFormat")
    assert wording.for_exception(strange) == texts.ERRORS["InvalidRequest"]
