"""What goes in and out. Nothing of it is a secret but ``connect_url``, which its owner alone is shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from business_os_banking import conf, wording
from business_os_banking.adapter import may_renew
from business_os_banking.api.fields import Mail, Moment, Switch, Text, Tone, Vocabulary, Word, WordingText
from business_os_banking.flows.answer import question_of
from business_os_banking.flows.begin import check_email
from business_os_banking.models import BankingConnection, ConnectSession
from business_os_banking.models.clocks import is_waiting
from business_os_banking.upstream.client import EMAIL_MAX_LENGTH
from business_os_banking.vocabulary import (
    SESSION_MAX_LIFE,
    ConnectionStatus,
    EndedBy,
    Group,
    HeldReason,
    SessionStatus,
    StatusReason,
)
from business_os_banking.wording import Wording

PAGE_SIZE: Final = 50
MAX_PAGE_SIZE: Final = 100
# The connection at the end of the page before, or at the beginning of the page after.
CURSOR: Final = r"^(after|before)\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"

# Seconds until asking again may bring news: the browser is back, the customer is at the bank, little is expected.
_SOON, _LATER, _SELDOM = 2, 5, 30
_PATIENCE: Final = timedelta(minutes=2)


class ConnectionSerializer(serializers.Serializer[Any]):
    """A bank connection, and what may be done with it."""

    reference = serializers.UUIDField(read_only=True)
    account = serializers.CharField(read_only=True, help_text="The alias of the Business OS account.")
    status = Vocabulary(ConnectionStatus, read_only=True)
    status_reason = Vocabulary(
        StatusReason, read_only=True, allow_null=True, help_text="Why it is `inactive`."
    )
    label = serializers.SerializerMethodField(  # type: ignore[assignment]
        help_text="The status in a word or two, for a badge."
    )
    tone = Tone(help_text="Picks a colour or an icon.")
    title = WordingText("title")
    message = WordingText("text")
    next_step = WordingText("next_step")
    bank = serializers.CharField(source="display_name", read_only=True, help_text="A name to show.")
    provider_code = serializers.CharField(read_only=True)
    provider_name = serializers.CharField(read_only=True)
    country_code = serializers.CharField(read_only=True)
    needs_attention = serializers.BooleanField(read_only=True)
    is_expiring_soon = serializers.BooleanField(read_only=True)
    is_stale = serializers.BooleanField(read_only=True)
    can_renew = serializers.SerializerMethodField()
    can_disconnect = serializers.BooleanField(read_only=True)
    consent_expires_at = Moment(read_only=True, allow_null=True)
    consent_is_estimated = serializers.BooleanField(read_only=True)
    next_refresh_possible_at = Moment(read_only=True, allow_null=True)
    last_success_at = Moment(read_only=True, allow_null=True)
    connected_at = Moment(read_only=True, allow_null=True)
    disconnected_at = Moment(read_only=True, allow_null=True)
    ended_by = Vocabulary(EndedBy, read_only=True, allow_null=True)
    held_reason = Vocabulary(
        HeldReason,
        read_only=True,
        allow_null=True,
        help_text="Why a success does not count yet: somebody has to answer whether it was meant.",
    )
    held_bank = serializers.CharField(
        read_only=True, help_text="The bank that it is at, where that may be told: the one to ask about."
    )
    held_question = serializers.SerializerMethodField(
        help_text="Send it along with the answer: it tells this question from a later one."
    )
    created_at = Moment(read_only=True)
    updated_at = Moment(read_only=True)

    def get_held_question(self, connection: BankingConnection) -> str:
        return question_of(connection)

    def words(self, connection: BankingConnection) -> Wording:
        return wording.for_connection(connection)

    def get_can_renew(self, connection: BankingConnection) -> bool:
        return may_renew(connection, self.context["request"], self.context["adapter"])

    def get_label(self, connection: BankingConnection) -> str:
        return str(wording.label_for_connection(connection))


class SessionSerializer(serializers.Serializer[Any]):
    """One trip to the bank: where to send the browser, and what became of it."""

    reference = serializers.UUIDField(read_only=True)
    connection = serializers.UUIDField(source="connection.reference", read_only=True)
    status = Vocabulary(SessionStatus, read_only=True)
    connection_status = Vocabulary(ConnectionStatus, source="connection.status", read_only=True)
    group = Vocabulary(
        Group, source="error_group", read_only=True, allow_null=True, help_text="The kind of setback."
    )
    tone = Tone(help_text="Picks a colour or an icon.")
    title = WordingText("title")
    message = WordingText("text")
    next_step = WordingText("next_step")
    final = serializers.BooleanField(
        source="is_final", read_only=True, help_text="Whether nothing can change any more."
    )
    poll_after = serializers.SerializerMethodField(
        help_text="Seconds until asking again may bring news; null if nothing can change any more."
    )
    connect_url = serializers.SerializerMethodField(
        help_text="Where to send the browser. Null once the session has ended. It is as good as a login: keep it "
        "out of logs."
    )
    api = Word(conf.APIS, "Kind", read_only=True)
    scopes = serializers.ListField(child=serializers.CharField(), read_only=True)
    next = serializers.CharField(
        source="next_url",
        read_only=True,
        help_text="Where *Continue* on the return page leads, as far as it is safe.",
    )
    expires_at = Moment(read_only=True, allow_null=True)
    returned_at = Moment(read_only=True, allow_null=True)
    succeeded_at = Moment(read_only=True, allow_null=True)
    created_at = Moment(read_only=True)

    def words(self, session: ConnectSession) -> Wording:
        return wording.for_session(session)

    def get_poll_after(self, session: ConnectSession) -> int | None:
        if session.is_final:
            return None
        now = timezone.now()
        has_time = session.expires_at is None or is_waiting(session.expires_at, now, SESSION_MAX_LIFE)
        if session.status not in {SessionStatus.CREATED, SessionStatus.OPEN} or not has_time:
            return _SELDOM
        is_back = session.returned_at is not None and session.returned_at > now - _PATIENCE
        return _SOON if is_back else _LATER

    def get_connect_url(self, session: ConnectSession) -> str | None:
        return session.connect_url or None


class StartedSerializer(ConnectionSerializer):
    """A connection, with the session that was just started on it."""

    session = SessionSerializer(read_only=True)


class PageSerializer(serializers.Serializer[Any]):
    """A page of connections, the newest first."""

    next = serializers.URLField(allow_null=True, help_text="The page after this one: older connections.")
    previous = serializers.URLField(allow_null=True, help_text="The page before this one.")
    results = ConnectionSerializer(many=True)


class ProblemSerializer(serializers.Serializer[Any]):
    """What went wrong, in the customer's language."""

    group = Vocabulary(
        Group,
        allow_null=True,
        help_text="The kind of setback, for what went wrong with a bank or on the way to it.",
    )
    title = serializers.CharField()
    message = serializers.CharField()
    next_step = serializers.CharField()
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()),
        help_text="Messages by field, where fields are at fault.",
    )
    session = serializers.UUIDField(
        allow_null=True, help_text="The session that failed; quote it to support."
    )
    connection = serializers.UUIDField(allow_null=True, help_text="The connection to renew, to try again.")

    def get_fields(self) -> dict[str, Any]:
        # Python keeps this name for itself.
        error_class = serializers.CharField(help_text="For programs: the name of the error.")
        return {"class": error_class, **super().get_fields()}


class ErrorSerializer(serializers.Serializer[Any]):
    """Every answer that is not a success."""

    error = ProblemSerializer()


class Strict(serializers.Serializer[Any]):
    """Refuses what it does not know: a name that was mistyped must not be ignored in silence."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = set(data) - set(self.fields) if isinstance(data, dict) else ()
        if unknown:
            raise serializers.ValidationError({str(name): [_("There is no such field.")] for name in unknown})
        return super().to_internal_value(data)


class ConnectSerializer(Strict):
    """What may be said of a new session. All of it is optional."""

    api = Word(conf.APIS, "Kind", required=False, help_text="Regulated banks (`partner`), or others.")
    email = Mail(required=False, allow_blank=True, max_length=EMAIL_MAX_LENGTH, validators=[check_email])
    scopes = serializers.ListField(
        child=Word(conf.SCOPES, "Scope"),
        required=False,
        help_text="Some of what the site asks for; else all of it, or in a renewal what was agreed on last.",
    )
    next = Text(
        required=False,
        allow_blank=True,
        max_length=2048,
        help_text="Where the customer goes on to from the return page. An address of another site is dropped.",
    )


class AnswerSerializer(Strict):
    """Whether what is held was meant."""

    answer = Word(("accept", "refuse"), "Answer")
    question = Text(
        required=False,
        max_length=16,
        help_text="The `held_question` that was answered; if another one is open by now, nothing is done.",
    )


class FinishSerializer(Strict):
    """What an app was called back with."""

    key = Text(max_length=64, help_text="The last part of the address that the bank led back to.")


class QuerySerializer(Strict):
    """The filters and the place of a page."""

    status = Vocabulary(ConnectionStatus, required=False)
    status_reason = Vocabulary(StatusReason, required=False)
    account = Text(required=False, max_length=64)
    provider_code = Text(required=False, max_length=128)
    held_reason = Vocabulary(HeldReason, required=False)
    needs_attention = Switch(required=False, help_text="Whether the customer should do something.")
    expires_before = Moment(required=False, help_text="Only connections whose consent ends before this time.")
    cursor = serializers.RegexField(
        CURSOR, required=False, help_text="The place of a page. Take it from `next` and `previous`."
    )
    page_size = serializers.IntegerField(
        required=False, min_value=1, max_value=MAX_PAGE_SIZE, default=PAGE_SIZE
    )
