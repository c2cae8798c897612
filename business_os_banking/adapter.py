"""What a site may change about the app: subclass `BankingAdapter` and name it in ``ADAPTER``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.urls import reverse
from django.utils.module_loading import import_string

from business_os_banking import conf
from business_os_banking.models import BankingConnection, BankingConnectionQuerySet, ConnectSession
from business_os_banking.vocabulary import Bank

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

__all__ = ["BankingAdapter", "get_adapter"]


class BankingAdapter:
    """The site's answers to the app's questions. Override what differs; each hook says what it must keep to.

    Hooks have no state of their own, may be called several times in a request, and may query the database.
    """

    # --- Who and what: security rests on these ---------------------------------------------------------

    def get_owner(self, request: HttpRequest) -> tuple[AbstractBaseUser | None, str]:
        """Return (user, tenant): who will own a connection that this request starts.

        Must come from the request's authentication alone, never from its data. *tenant* is any text of up to
        255 characters: an organisation's key, a schema name, ``""`` for a site without tenants.
        """
        user = request.user
        return (user if user.is_authenticated else None), ""

    def can_connect(self, request: HttpRequest, connection: BankingConnection | None = None) -> bool:
        """Return whether this request may start a session: a new one, or one to renew *connection*.

        *connection* has already been found among `visible_connections`. Keep the result of ``super()``.
        """
        return request.user.is_authenticated

    def visible_connections(self, request: HttpRequest) -> BankingConnectionQuerySet:
        """Return the connections that this request may see, renew and disconnect.

        Everything outside answers 404. Must never be wider than what the person owns.
        """
        user, tenant = self.get_owner(request)
        return BankingConnection.objects.owned_by(user, tenant)

    def get_account(self, request: HttpRequest) -> str:
        """Return the alias of the Business OS account to use. Must be a key of ``ACCOUNTS``, or one that
        `get_credentials` knows."""
        return "default"

    def get_credentials(self, alias: str, connection: BankingConnection | None) -> conf.Account:
        """Return the credentials behind *alias*, for calls and (with no connection) for webhooks.

        Must raise `ImproperlyConfigured` for an alias that does not exist, and must return an account of that very
        alias, to the letter: rows and webhooks are told apart by it. Sites that keep keys per tenant build the
        account with `business_os_banking.conf.make_account`.
        """
        return conf.account(alias)

    def is_same_bank(self, old: Bank, new: Bank) -> bool:
        """Return whether two banks that are called differently are one and the same, after a merger, say.

        Each has a ``code``, a ``name`` and a ``country``, ``""`` where unknown. A renewal that ends at another bank is
        held until its owner has answered. Depend on the two alone: the answer is asked for again and again, and must
        stay the same. ``SAME_BANKS`` does for a few pairs.
        """
        return False

    # --- What is sent ----------------------------------------------------------------------------------

    def get_email(self, request: HttpRequest) -> str:
        """Return the e-mail address that Business OS makes the Salt Edge customer with; ``""`` for none.

        It leaves your site: return only what the person agreed to share.
        """
        return email_of(request.user)

    def get_custom_fields(self, request: HttpRequest, connection: BankingConnection | None) -> dict[str, Any]:
        """Return what should come back in every callback. Small (1 KB together with our own key), no
        personal data, and neither ``session`` nor ``pending_token`` as a key."""
        return {}

    # --- Where the browser goes ------------------------------------------------------------------------

    def get_return_to(self, request: HttpRequest, session: ConnectSession) -> str:
        """Return the absolute address that the bank sends the browser back to.

        Must lead to this app's ``return-finish`` page of *session*, from outside: set ``SITE_URL`` where the
        request does not know its public origin. The key in it proves who has finished at the bank, so it is for
        Business OS alone. An address of the ``return`` page, without the key, proves nothing and doubts nothing.
        """
        path = return_path(session)
        origin = conf.settings.site_url
        return f"{origin}{path}" if origin else request.build_absolute_uri(path)

    def get_next_url(self, request: HttpRequest, session: ConnectSession) -> str:
        """Return where *Continue* leads after a success. ``session.next_url`` is safe: it was checked."""
        return session.next_url or reverse("business_os_banking:connection-list")


def return_path(session: ConnectSession) -> str:
    """Return the path that *session* comes back to, with its key while that is known: when it is being opened."""
    if session.key is None:
        return reverse("business_os_banking:return", args=[session.reference])
    return reverse("business_os_banking:return-finish", args=[session.reference, session.key])


def email_of(user: Any) -> str:
    """Return the e-mail address of the site's *user*, in whichever field its model keeps it; ``""`` for none."""
    field = user.get_email_field_name() if user is not None and hasattr(user, "get_email_field_name") else ""
    return str(getattr(user, field, "") or "") if field else ""


def get_adapter() -> BankingAdapter:
    """Return an instance of the class that ``ADAPTER`` names; `ImproperlyConfigured` if it cannot be had."""
    path = conf.settings.adapter
    try:
        adapter_class = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(
            f'{conf.SETTING}["ADAPTER"] is "{path}", which cannot be imported: {error}'
        ) from error
    adapter = adapter_class()
    if not isinstance(adapter, BankingAdapter):
        raise ImproperlyConfigured(f'{conf.SETTING}["ADAPTER"] must be a subclass of BankingAdapter.')
    return adapter


class WrongAccount(ImproperlyConfigured):
    """The site's adapter gave the credentials of another account than it was asked for."""


def may_renew(
    connection: BankingConnection, request: HttpRequest | None = None, adapter: BankingAdapter | None = None
) -> bool:
    """Return whether a session may be started on *connection*: its state allows it, and so does the adapter.

    Without a *request* nobody in particular asks, as with a renewal link, and the state alone decides.
    """
    if not connection.can_renew or request is None:
        return connection.can_renew
    return (adapter or get_adapter()).can_connect(request, connection)


def credentials_of(
    alias: str, connection: BankingConnection | None = None, adapter: BankingAdapter | None = None
) -> conf.Account:
    """Return the credentials behind *alias*, as *adapter* (the site's own, if none is given) has them.

    Raises `ImproperlyConfigured` if there are none, or if they name another account: what one account's secret
    proves would be filed as said by the other.
    """
    account = (adapter or get_adapter()).get_credentials(alias, connection)
    if account.alias != alias:
        raise WrongAccount(
            f'get_credentials("{alias}") of the adapter {conf.settings.adapter} returned the account '
            f'"{account.alias}". It must return one of the same alias, to the letter: make_account("{alias}", …).'
        )
    return account
