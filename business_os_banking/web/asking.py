"""What the landing page asks: who finished in this browser, and whether what is held was meant."""

from dataclasses import dataclass
from typing import Literal

from django.http import HttpRequest
from django.urls import reverse

from business_os_banking import wording
from business_os_banking.flows.answer import TOO_MANY, question_of
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.vocabulary import HeldReason
from business_os_banking.web import proof
from business_os_banking.wording import Wording, texts


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked on the landing page, and where the answer is posted to.

    ``kind`` is what may be answered: ``finish`` by who finished here, ``accept`` or ``refuse`` by who may see the
    connection, ``none`` by nobody here.
    """

    wording: Wording
    kind: Literal["finish", "accept", "refuse", "none"]
    url: str
    token: str = ""  # what the question is told from others by
    can_finish: bool = False  # the answer "it was me" is believed, or leads to where one signs in


def question_for(request: HttpRequest, session: ConnectSession) -> Question | None:
    """Return what is to be asked whoever opens the page of *session*; ``None`` if nothing is."""
    if proof.doubt_of(request, session):
        return _to_finish(request, session)
    connection = session.connection
    if not connection.held_reason or connection.held_session_id != session.pk:
        return None
    if not proof.may_see(request, connection):
        return Question(wording.for_session(session), "none", "")
    return question_about(connection)


def question_about(connection: BankingConnection) -> Question | None:
    """Return what those who may see *connection* are asked about it; ``None`` if nothing is held."""
    if not connection.held_reason:
        return None
    url = reverse("business_os_banking:connection-answer", args=[connection.reference])
    is_theirs = connection.held_reason == HeldReason.OTHER_BANK
    kind: Literal["accept", "refuse"] = "accept" if is_theirs else "refuse"
    return Question(wording.for_held(connection), kind, url, question_of(connection))


def _to_finish(request: HttpRequest, session: ConnectSession) -> Question:
    url = reverse("business_os_banking:return-answer", args=[session.reference])
    if proof.doubt_of(request, session) == TOO_MANY:
        return Question(texts.FINISH_WITH_US, "finish", url)
    if proof.is_who_began(request, session):
        return Question(texts.FINISH_NOW, "finish", url, can_finish=True)
    if session.by_link:
        return Question(texts.FINISH_BY_LINK, "finish", url)
    words = texts.FINISH_AS_ANOTHER if request.user.is_authenticated else texts.FINISH
    return Question(words, "finish", url, can_finish=not request.user.is_authenticated)
