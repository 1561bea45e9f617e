"""Passwords, tokens and sessions as secrets: drawn, digested, compared.

Owns the forms. Passwords are digested slowly (argon2id, RFC 9106) and salted; tokens and sessions hold 256 bits drawn
at random, which nobody guesses, so one SHA-256 is enough for them and costs a microsecond a request.
"""

from __future__ import annotations

import secrets
import threading
from functools import cache
from hashlib import sha256
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from models.errors import StrayframeError

TOKEN: Final = "sf_"  # noqa: S105 - how tokens begin, so that scanners of leaked secrets know them
SECRET_BYTES: Final = 32
PASSWORD_LEAST: Final = 12
PASSWORD_MOST: Final = 1000
"""Characters of a password. NIST SP 800-63B asks for 8 at least beside a second factor, and for 15 without."""
_AT_ONCE: Final = threading.BoundedSemaphore(2)
"""Passwords digested at a time: each takes 64 MiB and some 50 ms of a core."""


class BadPassword(StrayframeError):
    """The password is too short or too long, or no text."""


def drawn_token() -> str:
    """A new token's secret."""
    return TOKEN + secrets.token_urlsafe(SECRET_BYTES)


def drawn_session() -> str:
    """A new session's secret."""
    return secrets.token_urlsafe(SECRET_BYTES)


def digest(secret: str) -> str:
    """What is kept of a token or a session."""
    return sha256(secret.encode("utf-8", "replace")).hexdigest()


def is_text(password: str) -> bool:
    """Whether it can be written as UTF-8: JSON may hold half of a character, which nothing digests."""
    try:
        password.encode()
    except UnicodeEncodeError:
        return False
    return True


def password_digest(password: str) -> str:
    """What is kept of a password. Raises BadPassword."""
    if not PASSWORD_LEAST <= len(password) <= PASSWORD_MOST:
        raise BadPassword(f"a password has {PASSWORD_LEAST} to {PASSWORD_MOST} characters")
    if not is_text(password):
        raise BadPassword("a password is text")
    with _AT_ONCE:
        return _hasher().hash(password)


def is_password(password: str, kept: str | None) -> bool:
    """Whether it is the password of which that is kept. As slow where nothing is kept: it does not tell who exists."""
    with _AT_ONCE:
        try:
            _hasher().verify(kept or _of_nobody(), password)
        except (VerificationError, InvalidHashError):
            return False
    return kept is not None


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


@cache
def _of_nobody() -> str:
    return _hasher().hash(secrets.token_urlsafe(SECRET_BYTES))
