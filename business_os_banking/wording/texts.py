"""The texts for customers: for each situation a title, what happened, and what to do next.

Rules for every text: plain short sentences, never technical, never blaming, always a next step, and nothing
personal, because the landing page that shows them is public. Sites may use them in mails and messages, too.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from business_os_banking.vocabulary import (
    SESSION_EXPIRED,
    ConnectionStatus,
    EndedBy,
    Group,
    HeldReason,
    SessionStatus,
    StatusReason,
)

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

Text: TypeAlias = "str | _StrPromise"
Tone = Literal["good", "waiting", "warning", "bad"]


@dataclass(frozen=True, slots=True)
class Wording:
    """Lazily translated texts for one situation. `tone` picks colour and icon, never the meaning alone."""

    title: Text
    text: Text
    next_step: Text
    tone: Tone = "warning"


CONNECTED = Wording(
    _("Your bank is connected"),
    _("Everything worked. We can now receive the information that you agreed to share."),
    _("You can carry on."),
    "good",
)
CHECKING = Wording(
    _("Checking with your bank"),
    _("We are waiting for your bank to confirm. This usually takes a few seconds, sometimes a minute."),
    _("This page changes by itself. You may also close it, nothing is lost."),
    "waiting",
)
SLOW = Wording(
    _("This is taking longer than usual"),
    _("Your bank has not confirmed yet. Some banks need several minutes."),
    _("Check again in a moment, or close this page and come back later. Nothing is lost."),
    "waiting",
)
RAN_OUT = Wording(
    _("This attempt ran out of time"),
    _("The connection was started but not finished in time. Nothing was changed."),
    _("Start again whenever you like. It takes about two minutes."),
)
TOO_MANY = Wording(
    _("That was a lot of tries"),
    _("To keep your bank safe, we have paused new attempts for a while. Nothing is lost."),
    _("Please try again in an hour, or contact us if something keeps going wrong."),
)
TOO_FAST = Wording(
    _("That was a little too fast"),
    _("Too many requests came in a short time. Nothing is lost."),
    _("Please wait a moment, and try again."),
)
NOT_ALLOWED = Wording(
    _("Connecting a bank is not switched on for you"),
    _("Your user account on this site may not connect a bank at the moment."),
    _("Please ask the person who looks after your account, or contact us."),
)
UNKNOWN_ATTEMPT = Wording(
    _("We cannot find this attempt"),
    _("The link may be incomplete or very old. Your bank connections are not affected."),
    _("Look at your connections, or start again from there."),
)
UNKNOWN_CONNECTION = Wording(
    _("We cannot find this connection"),
    _("The link may be incomplete, or it belongs to another user account."),
    _("Look at your connections, or sign in with the user account that made it."),
)


def _not_your_mistake(text: Text) -> Text:
    return format_lazy("{} {}", text, _("This is not your mistake, and we have been told."))


GROUPS: dict[Group, Wording] = {
    Group.YOU_CANCELLED: Wording(
        _("You stopped before the end"),
        _("No new connection was made and nothing new was shared."),
        _("You can start again whenever you like. If you did finish at your bank, it still counts."),
    ),
    Group.WRONG_LOGIN: Wording(
        _("Your bank did not recognise the login"),
        _("The login or the confirmation code was not what your bank expected. That happens easily."),
        _("Try again. It helps to sign in on the website of your bank first, to see that the login works."),
    ),
    Group.TOOK_TOO_LONG: Wording(
        _("It took too long"),
        _("Banks wait only a short while for a confirmation, and this time it was not long enough."),
        _("Have your phone or code generator ready, and try again."),
    ),
    Group.TRY_AGAIN: Wording(
        _("That did not work this time"),
        _("Your bank could not complete the connection. Nothing was changed."),
        _("Please try again. If it happens once more, wait an hour or contact us."),
    ),
    Group.BANK_NOT_AVAILABLE: Wording(
        _("Your bank is not available at the moment"),
        _("The service of the bank did not answer as it should. This usually passes."),
        _("Please try again in a few minutes, or later today."),
    ),
    Group.ALREADY_CONNECTED: Wording(
        _("This bank is already connected"),
        _("There is a connection with the same bank login already, so a second one was not made."),
        _("Look at your connections. If one needs attention, renew it there."),
    ),
    Group.SETUP: Wording(
        _("We cannot connect banks at the moment"),
        _not_your_mistake(_("Something on our side is not set up correctly.")),
        _("Please try again later. If it is urgent, contact us."),
        "bad",
    ),
}

# Keyed by `BusinessOSError.error_class`: the bank was not reached, so the group's text would mislead.
ERRORS: dict[str, Wording] = {
    "NotReachable": Wording(
        _("We cannot reach the bank service"),
        _("The service that connects banks could not be reached. Your bank was not contacted."),
        _("Please try again in a few minutes."),
        "bad",
    ),
    "TimedOut": Wording(
        _("The bank service did not answer in time"),
        _("We waited for the service that connects banks, but no answer came. No bank was connected."),
        _("Please try again in a minute."),
        "bad",
    ),
    "Refused": Wording(
        _("We cannot connect banks at the moment"),
        _not_your_mistake(_("The service that connects banks did not let us in.")),
        _("Please try again later. If it is urgent, contact us."),
        "bad",
    ),
    "OutOfCredits": Wording(
        _("New bank connections are paused"),
        _not_your_mistake(_("We have to settle something with the service that connects banks first.")),
        _("Please try again later today. Connections that you already have are not affected."),
        "bad",
    ),
    "InvalidRequest": Wording(
        _("We could not start the connection"),
        _not_your_mistake(_("The service that connects banks could not work with our request.")),
        _("Please try again later. If it is urgent, contact us."),
        "bad",
    ),
    "RateLimited": Wording(
        _("Many people are connecting right now"),
        _("The service that connects banks asks us to wait a little."),
        _("Please wait a minute and try again."),
    ),
    "UpstreamTrouble": Wording(
        _("The bank service has a problem"),
        _("The service that connects banks is in trouble at the moment. Your bank was not contacted."),
        _("This usually passes soon. Please try again in a few minutes."),
        "bad",
    ),
    "Unintelligible": Wording(
        _("We stopped to be safe"),
        _not_your_mistake(_("The service that connects banks gave an answer that we could not check.")),
        _("Please try again in a few minutes."),
        "bad",
    ),
    "Interrupted": Wording(
        _("This attempt was interrupted"),
        _("Something came in between before your bank was contacted. No bank was connected."),
        _("Please try again."),
    ),
    "NotFound": GROUPS[Group.SETUP],
    "NotConfigured": GROUPS[Group.SETUP],
    SESSION_EXPIRED: RAN_OUT,
}

HINT_CANCELLED = Wording(
    _("It looks as if you stopped"),
    _("We are making sure with your bank."),
    _("If you did finish, this page will notice by itself. If not, you can try again."),
    "waiting",
)
HINT_OTHER = Wording(
    _("Your bank reported a difficulty"),
    _("We are making sure what it was. This usually takes a few seconds."),
    _("If it worked after all, this page will notice by itself. If not, you can try again."),
    "waiting",
)

PENDING = Wording(
    _("This bank is not connected yet"),
    _("A connection was started, but not finished so far."),
    _("Finish it now, or remove it from your list."),
    "waiting",
)
RETURNED = Wording(
    _("We are checking with your bank"),
    _("You came back from your bank, and its confirmation is still on its way."),
    _("Look again in a few minutes. If nothing changes, you can try again."),
    "waiting",
)
ACTIVE = Wording(
    _("This bank is connected"),
    _("We receive the information that you agreed to share."),
    _("There is nothing to do."),
    "good",
)
EXPIRING = Wording(
    _("Your consent ends soon"),
    _("Banks ask you to confirm now and then that you still want to share your information."),
    _("Renew the connection now. It keeps working in the meantime."),
)
STALE = Wording(
    _("Connected, but not up to date"),
    _("Nothing new has come from your bank for a while. This often sorts itself out."),
    _("If you do not want to wait, renew the connection."),
)
REASONS: dict[StatusReason, Wording] = {
    StatusReason.CONSENT_EXPIRED: Wording(
        _("Your consent has ended"),
        _("Banks ask you to confirm now and then that you still want to share your information."),
        _("Renew the connection to keep it going."),
    ),
    StatusReason.CONSENT_REVOKED: Wording(
        _("Your consent was withdrawn"),
        _("We no longer receive information from this bank."),
        _("If that is what you wanted, disconnect it. If not, renew the connection."),
    ),
    StatusReason.LOGIN_CHANGED: Wording(
        _("Your bank login has changed"),
        _("The bank no longer accepts the login that this connection was made with."),
        _("Renew the connection with the login that you use now."),
    ),
    StatusReason.BANK_STEP_REQUIRED: Wording(
        _("Your bank is waiting for you"),
        _("It asks for a step that only you can do, such as agreeing to new terms."),
        _("Sign in on the website of your bank, do what it asks, then renew the connection."),
    ),
    StatusReason.ACCESS_DENIED: Wording(
        _("Your bank does not give access"),
        _("The login works, but it may not be allowed to share this information."),
        _("Ask your bank to allow it, or renew the connection with another login."),
    ),
    StatusReason.BANK_DISABLED: Wording(
        _("This bank is out of service for now"),
        _("It cannot be reached through the service that connects banks. Your login is not the cause."),
        _("We carry on as soon as it is back. You can also try to renew the connection later."),
        "bad",
    ),
}
INACTIVE = Wording(
    _("This connection needs you"),
    _("We no longer receive information from this bank."),
    _("Renew the connection to keep it going."),
)
ENDED: dict[EndedBy, Wording] = {
    EndedBy.OWNER: Wording(
        _("You disconnected this bank"),
        _("We no longer receive information from it."),
        _("You can connect it again at any time."),
    ),
    EndedBy.OPERATOR: Wording(
        _("We ended this connection"),
        _("We no longer receive information from this bank."),
        _("Contact us if you have a question, or connect the bank again."),
    ),
    EndedBy.PROVIDER: Wording(
        _("The bank ended this connection"),
        _("We no longer receive information from this bank."),
        _("Connect it again if you still want to use it."),
    ),
}

HELD: Final[dict[HeldReason, Wording]] = {
    HeldReason.OTHER_BROWSER: Wording(
        _("Finished in another browser"),
        _(
            "Somebody has signed in at a bank for this in another browser. Until it is clear who, nothing is connected."
        ),
        _("If that was you, open that browser and sign in there. If it was not, discard it."),
    ),
    HeldReason.OTHER_BANK: Wording(
        _("Is that the bank you meant?"),
        _("The renewal has ended at another bank than before. Until you answer, everything stays as it was."),
        _("Please tell us which of the two you want."),
    ),
    HeldReason.LINK_WITHDRAWN: Wording(
        _("We are looking into this renewal"),
        _("The link that it was started with was withdrawn meanwhile, so it does not count yet."),
        _("You need not do anything. If you have a question, contact us."),
    ),
}
FINISH: Final = Wording(
    _("One step is left"),
    _(
        "You have been at your bank in this browser, and it was started in another one. Nothing is connected yet."
    ),
    _("If you started it, sign in here, and it is done. If you did not, tell us: then nothing is connected."),
)
FINISH_AS_ANOTHER: Final = Wording(
    _("One step is left"),
    _("You have been at your bank in this browser, but another user account than yours has started it."),
    _("Sign in with the account that started it. If that was not you, tell us: then nothing is connected."),
)
FINISH_BY_LINK: Final = Wording(
    _("One step is left"),
    _("You have been at your bank in this browser. The link that you were sent was opened in another one."),
    _("Open the link once more, in this browser, and it is done. If you did not start this, tell us."),
)
FINISH_WITH_US: Final = Wording(
    _("We are looking into this"),
    _(
        "This has been finished in several browsers, so we cannot tell who started it. Nothing is connected yet."
    ),
    _("If you did not start it, tell us here. If you did, contact us or start again."),
)
FINISH_NOW: Final = Wording(
    _("Was this you?"),
    _("You have been at your bank in this browser. It was started in another one, with this user account."),
    _("If that was you, finish it now. If it was not, tell us: then nothing is connected."),
)
NOT_YOURS_TO_ACCEPT: Final = Wording(
    _("This cannot be confirmed here"),
    _(
        "Whoever signed in at the bank has to finish it in the browser that was used there, or we look into it."
    ),
    _("If you do not know what this is about, discard it. Nothing is connected then."),
)
REFUSED: Final = Wording(
    _("Nothing was connected"),
    _("We were told that this was not meant, so it does not count, and we end the access at the bank."),
    _("If you want to connect a bank, start again."),
)
OTHER_BANK: Final = _(
    "You renewed the connection with %(old)s, and it has ended at %(new)s. Until you answer, the connection with "
    "%(old)s stays as it was."
)

CONNECTION_LABELS: dict[ConnectionStatus, Text] = {
    ConnectionStatus.PENDING: pgettext_lazy("state of a bank connection", "Not finished"),
    ConnectionStatus.ACTIVE: pgettext_lazy("state of a bank connection", "Connected"),
    ConnectionStatus.INACTIVE: pgettext_lazy("state of a bank connection", "Needs you"),
    ConnectionStatus.DISCONNECTED: pgettext_lazy("state of a bank connection", "Disconnected"),
}
SESSION_LABELS: dict[SessionStatus, Text] = {
    SessionStatus.CREATED: pgettext_lazy("state of an attempt to connect", "Started"),
    SessionStatus.OPEN: pgettext_lazy("state of an attempt to connect", "Under way"),
    SessionStatus.SUCCEEDED: pgettext_lazy("state of an attempt to connect", "Worked"),
    SessionStatus.FAILED: pgettext_lazy("state of an attempt to connect", "Did not work"),
    SessionStatus.CANCELLED: pgettext_lazy("state of an attempt to connect", "Stopped"),
    SessionStatus.EXPIRED: pgettext_lazy("state of an attempt to connect", "Ran out of time"),
}
SCOPES: dict[str, tuple[Text, Text]] = {
    "accounts": (_("Your accounts"), _("Names, account numbers and balances.")),
    "holder_info": (_("The account holder"), _("Name and contact details, as your bank knows them.")),
    "transactions": (_("Transactions"), _("What was paid and received, when, and with which text.")),
}
