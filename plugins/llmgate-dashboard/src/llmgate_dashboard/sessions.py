"""Who has signed in: the caller's key, sealed into a cookie that only this gateway can open.

No session is kept here. A key that is revoked opens nothing from the next request on, since the gateway judges it each
time; and a restart or another worker with the same secret opens what this one has sealed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Final

import attrs
from cryptography.fernet import Fernet, InvalidToken

from llmgate.spec import Clock, PageRequest

__all__ = ["COOKIE", "Sessions", "new_secret"]

COOKIE: Final = "llmgate_dashboard"
LEAST: Final = 32
"""Characters of a secret: 16 random bytes in hex."""
_MOST_ENDED: Final = 10_000


def new_secret() -> str:
    """A secret for the length of a process."""
    return Fernet.generate_key().decode("ascii")


@attrs.define(eq=False)
class Sessions:
    """Seals sessions and opens them.

    Args:
        secret: What they are sealed with.
        ttl: Seconds for which one lasts.
        clock: Which time it is.
        always_secure: Whether cookies go over TLS only, whatever the request came over.
    """

    secret: str = attrs.field(repr=False)
    ttl: float
    clock: Clock
    always_secure: bool = False
    _box: Fernet = attrs.field(init=False, repr=False)
    _ended: dict[bytes, float] = attrs.field(factory=dict, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._box = Fernet(base64.urlsafe_b64encode(hashlib.sha256(self.secret.encode()).digest()))

    def begin(self, key: str, request: PageRequest) -> str:
        """The ``set-cookie`` of a new session."""
        sealed = self._box.encrypt_at_time(json.dumps({"key": key}).encode(), self._now()).decode("ascii")
        return self._cookie(sealed, request, round(self.ttl))

    def key(self, cookies: Mapping[str, str]) -> str | None:
        """The key of a session that lasts; None where there is none."""
        sealed = cookies.get(COOKIE, "").encode("utf-8", "replace")
        if not sealed or _digest(sealed) in self._ended:
            return None
        try:
            opened = json.loads(self._box.decrypt_at_time(sealed, round(self.ttl), self._now()))
        except (InvalidToken, ValueError):
            return None
        return str(opened["key"])

    def end(self, request: PageRequest) -> str:
        """Let a session open nothing any more; the ``set-cookie`` that forgets it."""
        sealed = request.cookies.get(COOKIE)
        if sealed and self.key(request.cookies) is not None:
            now = self.clock.now()
            self._ended = {one: until for one, until in self._ended.items() if until > now}
            while len(self._ended) >= _MOST_ENDED:
                del self._ended[next(iter(self._ended))]
            self._ended[_digest(sealed.encode())] = now + self.ttl
        return self._cookie("", request, 0)

    def _now(self) -> int:
        return int(self.clock.now())

    def _cookie(self, value: str, request: PageRequest, seconds: int) -> str:
        secure = "; Secure" if request.secure or self.always_secure else ""
        return f"{COOKIE}={value}; Path={request.root}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


def _digest(sealed: bytes) -> bytes:
    return hashlib.sha256(sealed).digest()
