"""The rules of settings that need an import: whether what a value names is there, and whether it is what it must be."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from django.utils.module_loading import import_string

from business_os_banking.adapter import BankingAdapter
from business_os_banking.conf.kinds import Rule
from business_os_banking.conf.secret import Secret
from business_os_banking.webhooks import saltedge
from business_os_banking.webhooks.verifiers import Verifier, whsec_key


def class_at(path: Any, base: type) -> Any:
    """Return the subclass of *base* that a dotted path leads to, or `None`. What is imported may raise anything."""
    with suppress(Exception):
        return import_string(path) if issubclass(import_string(path), base) else None
    return None


def _is_adapter(path: str) -> bool:
    return class_at(path, BankingAdapter) is not None


def _is_verifier(path: str) -> bool:
    return class_at(path, Verifier) not in {None, Verifier}


def _is_secret(secret: Secret) -> bool:
    text = secret.open()
    return not text.startswith("whsec_") or whsec_key(text) is not None


def _have(method: str) -> Callable[[Mapping[str, Sequence[str]]], bool]:
    """Return a test for classes of Django REST framework, by operation: have they the method that it calls?"""
    return lambda lists: all(
        getattr(import_string(path), method) for paths in lists.values() for path in paths
    )


_UNFIT: Final = " has what Django REST framework cannot use: {why}"
IMPORTS: Final[Mapping[str, tuple[Rule, ...]]] = {
    "ADAPTER": (
        Rule("E007", " is {item!r}, which cannot be imported: {why}", import_string),
        Rule("E008", " is {item!r}, which is not a subclass of BankingAdapter", _is_adapter),
    ),
    "WEBHOOK_SECRETS": (
        Rule("E017", "[{place}] begins with whsec_, but what follows is not base64", _is_secret, each=True),
    ),
    "WEBHOOK_VERIFIERS": (
        Rule("E027", " has {item!r}, which cannot be imported: {why}", import_string, each=True),
        Rule("E028", " has {item!r}, which is not a subclass of Verifier", _is_verifier, each=True),
    ),
    "SALTEDGE_PUBLIC_KEYS": (
        Rule("E032", "[{place!r}] cannot be used as an RSA public key: {why}", saltedge.load, each=True),
    ),
    "API_AUTHENTICATION_CLASSES": (Rule("E037", _UNFIT, _have("authenticate")),),
    "API_PERMISSION_CLASSES": (Rule("E037", _UNFIT, _have("__call__")),),  # may be composed, with & and |
    "API_THROTTLE_CLASSES": (Rule("E037", _UNFIT, _have("allow_request")),),
}
