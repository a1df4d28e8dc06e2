"""How an issued key looks: ``sk-lg-``, twelve public characters, a dash, 32 secret ones, and a checksum of six.

The public part says which key it is, in look-ups, lists and logs. The checksum tells a key from what only looks like
one without asking anybody, so that scanners for leaked secrets raise no false alarm (as GitHub does with its tokens,
https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/).
"""

from __future__ import annotations

import re
import secrets
import string
import zlib
from typing import Final

import attrs

__all__ = ["PUBLIC_ID", "KeyText", "checksum", "read_key"]

PREFIX: Final = "sk-lg-"
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PUBLIC: Final = 12
_SECRET: Final = 32
"""Characters of chance: 32 of 62 are 190 bits, which nobody tries through."""
_CHECK: Final = 6
PUBLIC_ID: Final = re.compile(rf"[0-9A-Za-z]{{{_PUBLIC}}}")
_KEY: Final = re.compile(rf"{PREFIX}([0-9A-Za-z]{{{_PUBLIC}}})-[0-9A-Za-z]{{{_SECRET + _CHECK}}}")


@attrs.frozen
class KeyText:
    """A key, or what has the shape of one.

    Args:
        text: All of it.
        public_id: The part that says which key it is.
    """

    text: str = attrs.field(repr=False)
    public_id: str

    @classmethod
    def new(cls) -> KeyText:
        """Make a key."""
        public_id = _chance(_PUBLIC)
        body = f"{PREFIX}{public_id}-{_chance(_SECRET)}"
        return cls(body + checksum(body), public_id)

    @property
    def is_whole(self) -> bool:
        """Whether the checksum fits, so that it may be a key."""
        return checksum(self.text[:-_CHECK]) == self.text[-_CHECK:]

    @property
    def last_four(self) -> str:
        """The last characters, by which a person tells keys apart: four digits of the checksum, too few to guess by."""
        return self.text[-4:]


def read_key(token: str) -> KeyText | None:
    """The key in a token, None for what has another shape; whether its checksum fits is another question."""
    match = _KEY.fullmatch(token)
    return None if match is None else KeyText(token, match[1])


def checksum(body: str) -> str:
    """The CRC-32 of what stands before it, as six digits of base 62."""
    number = zlib.crc32(body.encode("ascii"))
    digits = []
    for _ in range(_CHECK):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _chance(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
