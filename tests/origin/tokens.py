"""Worker tokens: how they are made, stored and checked, with the lockout after wrong ones."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import HTTPException

from . import clock

SALT = "distributed-gpu-inference-v1"
LIFETIME = timedelta(hours=24)
WRONG_TOKENS_UNTIL_LOCKED = 5
LOCKED_FOR = timedelta(minutes=15)


def stored_form(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(f"{SALT}:{token}".encode()).hexdigest()


@dataclass
class Credentials:
    """What is kept of one worker's tokens."""

    auth_token_hash: str
    refresh_token_hash: str
    token_expires_at: datetime
    wrong_tokens: int = 0
    locked_until: datetime | None = None

    @classmethod
    def issue(cls) -> tuple[Credentials, dict[str, str]]:
        """New tokens: their stored form, and the fields that tell the worker."""
        token, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        expires = clock.now() + LIFETIME
        kept = cls(stored_form(token), stored_form(refresh), expires)
        return kept, {"token": token, "refresh_token": refresh, "token_expires_at": expires.isoformat()}

    def holds(self, token: str | None) -> bool:
        """Whether this is the current token. Counts nothing."""
        if token is None or clock.now() >= self.token_expires_at:
            return False
        return hmac.compare_digest(stored_form(token), self.auth_token_hash)

    def refreshes(self, token: str) -> bool:
        """Whether this is the current refresh token."""
        return hmac.compare_digest(stored_form(token), self.refresh_token_hash)

    def check(self, token: str | None) -> None:
        """Lets the current token pass. Raises 401 for others, 403 for all while locked."""
        if token is None:
            raise HTTPException(401, "Missing worker token")
        if self.locked_until is not None:
            if clock.now() < self.locked_until:
                raise HTTPException(403, "Worker locked after too many failed attempts")
            self.locked_until, self.wrong_tokens = None, 0
        if self.holds(token):
            self.wrong_tokens = 0
            return
        self.wrong_tokens += 1
        if self.wrong_tokens >= WRONG_TOKENS_UNTIL_LOCKED:
            self.locked_until = clock.now() + LOCKED_FOR
        raise HTTPException(401, "Invalid worker token")
