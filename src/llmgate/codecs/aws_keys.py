"""AWS's credentials as one secret, and as environment variables spell them, for all who sign with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import attrs

from .jsons import JSONError, dumps, loads

__all__ = ["Keys", "keys_in"]

_ACCESS_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SENDABLE: Final = re.compile(r"[!-~]*")
_ID: Final = ("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY")
_SECRET: Final = ("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY")
_TOKEN: Final = "AWS_SESSION_TOKEN"  # noqa: S105 - the name of a variable


@attrs.frozen
class Keys:
    """What requests are signed with.

    Args:
        access_key: Names the key.
        secret_key: Signs.
        token: Belongs to credentials that end; None for those that do not.
    """

    access_key: str
    secret_key: str = attrs.field(repr=False)
    token: str | None = attrs.field(default=None, repr=False)

    def to_text(self) -> str:
        """All of it as one text, the value of a secret."""
        return dumps({"access_key": self.access_key, "secret_key": self.secret_key, "token": self.token}).decode()

    @classmethod
    def of_text(cls, text: str) -> Keys:
        """What ``to_text`` has written.

        Raises:
            ValueError: it has not.
        """
        try:
            value = loads(text.encode("utf-8", "replace"))
        except JSONError:
            value = None
        match value:
            case {"access_key": str(access), "secret_key": str(secret), "token": None | str() as token} if secret:
                if not _ACCESS_KEY.fullmatch(access) or not _SENDABLE.fullmatch(token or ""):
                    raise ValueError("it holds characters that no header can carry: correct it")
                return cls(access, secret, token or None)
            case _:
                raise ValueError("it is not a pair of AWS keys: name a secret of the store `aws-credentials`")


def keys_in(environment: Mapping[str, str]) -> Keys | None:
    """The keys that environment variables hold, None where they hold none.

    Raises:
        ValueError: two names of one thing say different things, or half of a pair is missing; both names are told.
    """
    access, secret = _one(environment, _ID), _one(environment, _SECRET)
    if access is None and secret is None:
        return None
    if access is None or secret is None:
        missing = _ID if access is None else _SECRET
        raise ValueError(f"{' (or '.join(missing)}) is not set, although the other half of the pair is")
    standard = all(environment.get(names[0]) for names in (_ID, _SECRET))
    return Keys(access, secret, (environment.get(_TOKEN) or None) if standard else None)


def _one(environment: Mapping[str, str], names: tuple[str, str]) -> str | None:
    """The value under the standard name, or else the other."""
    standard, other = (environment.get(name) or None for name in names)
    if standard is not None and other is not None and standard != other:
        raise ValueError(f"{names[0]} and {names[1]} are both set and differ: keep {names[0]}")
    return standard or other
