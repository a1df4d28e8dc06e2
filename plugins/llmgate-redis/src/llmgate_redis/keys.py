"""What things are called in the server."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["Keys", "milliseconds"]

_LONGEST: Final = 10**15
"""Milliseconds beyond which a time is as good as never; the server adds it to its own and must not overflow."""


class Keys:
    """Names of keys: ``<prefix>{<key>}:<kind>``.

    The braces make the key the hash tag, so that everything of one key is in one slot of a cluster; braces in the key
    itself are escaped, and the tag of the empty key is ``%``.

    Args:
        prefix: What every name begins with.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix.encode()

    def of(self, kind: str, key: str) -> bytes:
        """The name of one sort of state under a key."""
        tag = key.replace("%", "%25").replace("{", "%7B").replace("}", "%7D") or "%"
        return b"%b{%b}:%b" % (self._prefix, _bytes(tag), kind.encode())

    def with_once(self, kind: str, key: str, once: str | None) -> tuple[bytes, ...]:
        """The name, and beside it that of a word under which something happens at most once."""
        name = self.of(kind, key)
        return (name,) if once is None else (name, b"%b:once:%b" % (name, _bytes(once)))

    def channel(self, name: str) -> bytes:
        """The name of a channel."""
        return b"%bchannel:%b" % (self._prefix, _bytes(name))


def milliseconds(seconds: float) -> int:
    """A time to live, rounded up, so that nothing ends before its time."""
    return _LONGEST if seconds * 1000 >= _LONGEST else math.ceil(seconds * 1000)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
