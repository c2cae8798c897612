"""Salt Edge's public keys, and the check of a signature with one of them.

Source of the keys: Salt Edge's examples for 5.0, its documentation of API v6 for 6.0. Their fingerprints (SHA-256 of
the DER form) are in the tests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from django.core.exceptions import ImproperlyConfigured

from business_os_banking.upstream import values

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

PUBLISHED: Final[Mapping[str, str]] = {
    "5.0": """\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAvL/Xxdmj7/cpZgvDMvxr
nTTU/vkHGM/qkJ0Q+rmfYLru0Z/rSWthPDEK3orY5BTa0sAe2wUV5Fes677X6+Ib
roCF8nODW5hSVTrqWcrQ55I7InpFkpTxyMkiFN8XPS7qmYXl/xofbYq0olcwE/aw
9lfHlZD7iwOpVJqTsYiXzSMRu92ZdECV895kYS/ggymSEtoMSW3405dQ6OfnK53x
7AJPdkAp0Wa2Lk4BNBMd24uu2tasO1bTYBsHpxonwbA+o8BXffdTEloloJgW7pV+
TWvxB/Uxil4yhZZJaFmvTCefxWFovyzLdjn2aSAEI7D1y4IYOdByMOPYQ6Mn7J9A
9wIDAQAB
-----END PUBLIC KEY-----
""",
    "6.0": """\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA8qxSS5BmftHK/eyW+o98
NR89TyDmz1V8e6yyFdoMPddEYN4Bcidkk2whoJEc/T/AKghHQ9Nq+DuebnRYYcSJ
YT99VbR1PpIw2R9i8z+DZ79hoizy6z+rwxGANnJOr5BDF5HUKJ8uKS9yGRieojFv
Y9j+rxH6Fj6P90bO4d2igYYspKVoI3Zb3hWS0LrWN+JXAaW9qcOmQPTgO0WG0MUK
gB3NNMfN7gMIkl3chbaULiEgVciP2qZTIGb1b7IDr5+fA9oVVGaXiybdieGHIa4J
S7JNTf0JjWrIKd2DaczKULnghqNQsnoCu+S8BurEOJR5EN1BBfQBPlbSh+ru1zgZ
AQIDAQAB
-----END PUBLIC KEY-----
""",
}


def keys(more: Mapping[str, str]) -> dict[str, str]:
    """Return all keys (PEM) by version: the published ones and *more*, which wins."""
    return {**PUBLISHED, **more}


def is_signed(pem: str, text: bytes, signature: bytes) -> bool:
    """Return whether *signature* is that of *text* by the key *pem*.

    Raises `ImproperlyConfigured` if the key cannot be used or the package cryptography is missing.
    """
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding
    except ImportError as error:
        raise ImproperlyConfigured(
            "SaltEdgeSignature needs cryptography: pip install django-business-os-banking[saltedge]"
        ) from error
    try:
        load(pem).verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=16)
def load(pem: str) -> RSAPublicKey:
    """Return the RSA key that *pem* holds; `ImproperlyConfigured` if it holds none."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ImproperlyConfigured(
            "SALTEDGE_PUBLIC_KEYS holds something that is no public key in PEM."
        ) from error
    if not isinstance(key, RSAPublicKey):
        raise ImproperlyConfigured("SALTEDGE_PUBLIC_KEYS holds a key that is not RSA.")
    return key


def customer_of(body: bytes) -> str:
    """Return ``data.customer_id``, where Salt Edge's callbacks have it, or ``""``."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    data = content.get("data") if isinstance(content, dict) else None
    return values.id_of(data.get("customer_id")) if isinstance(data, dict) else ""
