"""API keys and password hashes: how they are made from random octets, and how they are checked.

Hashing a password is slow on purpose: it belongs on a pool thread, never on the loop.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode

from argon2 import exceptions as argon2_exceptions
from argon2 import low_level as argon2

API_KEY_PREFIX = "bh_"  # so that a scanner of repositories and logs can tell a leaked key
API_KEY_OCTETS = 32
SALT_OCTETS = 16
HASH_OCTETS = 32
# OWASP's figures for argon2id at one lane: about 20 ms, so that a reconnecting fleet of partners does not stall.
HASH_PASSES = 2
HASH_MEMORY_KIB = 19_456
SMPP_PASSWORD_OCTETS_MAX = 8

# SMPP 3.4 section 5.2.2: a C-octet string of at most 9 octets, its NUL included.
_SMPP_PASSWORD = re.compile(r"[\x21-\x7e]{1,8}", re.ASCII)


def api_key_of(octets: bytes) -> str:
    """A key made of 256 random bits; it is shown once and kept only as its hash."""
    assert len(octets) == API_KEY_OCTETS
    return API_KEY_PREFIX + urlsafe_b64encode(octets).decode("ascii").rstrip("=")


def hash_of_api_key(api_key: str) -> str:
    """What is stored of a key: it is random, so one SHA-256 is enough."""
    return hashlib.sha256(api_key.encode("utf-8", "replace")).hexdigest()


def is_smpp_password(password: str) -> bool:
    """Whether a bind can carry it: 1 to 8 visible ASCII characters."""
    return _SMPP_PASSWORD.fullmatch(password) is not None


def hash_of_password(password: str, salt: bytes, *, passes: int = HASH_PASSES, memory_kib: int = HASH_MEMORY_KIB) -> str:
    """The argon2id hash of a password in its usual text form, which says how it was made."""
    assert len(salt) >= SALT_OCTETS
    secret = password.encode("utf-8", "replace")
    return argon2.hash_secret(secret, salt, passes, memory_kib, 1, HASH_OCTETS, argon2.Type.ID).decode("ascii")


def is_password(password_hash: str, password: str) -> bool:
    """Whether a hash was made of this password."""
    try:
        return argon2.verify_secret(password_hash.encode("ascii"), password.encode("utf-8", "replace"), argon2.Type.ID)
    except (argon2_exceptions.VerificationError, argon2_exceptions.InvalidHash):
        return False
