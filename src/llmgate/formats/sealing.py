"""Proofs of reasoning on their way through clients whose format has no place for them.

A vendor signs or encrypts what its model thought, and wants it back unchanged with the next turn. A client of another
format keeps such a proof only in a field of its own format, where it stands for something else. So it travels sealed:
``llmgate.1.`` and the base64url of a zlib stream of JSON, ``{"t": text, "s": signature, "x": other members}``, of
which the last two are left out where they are empty. The text goes along, since the proof holds for exactly that text
and clients change what they show of it. A seal that has been damaged, or that is of a later version, is no seal: zlib's
check sum tells, nothing is sent on, and the reasoning counts as unsigned.

What OpenAI encrypts becomes a signature in the canonical types that begins with ``openai-responses:``. Other vendors
sign in base64, which has no colon, so that each of them knows what is not its own.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.formats.thought_signatures import signature_in
from llmgate.spec import Reasoning

__all__ = ["BINARY", "PROOFS", "SEAL", "is_tagged", "opened", "opened_bytes", "sealed"]

SEAL: Final = "llmgate.1."
"""What a sealed proof begins with: the gateway's mark and the version of what follows."""

PROOFS: Final = (b'"llmgate.1.', b'"openai-responses:')
"""What JSON holds where a signature is one that was made here."""

BINARY: Final = base64.b64encode(SEAL.encode("ascii")[:9])
"""What the base64 of a seal begins with, where a format has bytes in its place."""

_LARGEST: Final = 8 * 1024 * 1024
"""Bytes that an opened seal may hold."""

_LEAST: Final = 512
_RATIO: Final = 8
"""What an opened seal may hold more than that for each of its own bytes."""

_TAG: Final = re.compile(r"[a-z]+(?:-[a-z]+)*:")


def sealed(part: Reasoning, *, always: bool = False) -> str | None:
    """The proof of a piece of reasoning, sealed; None for reasoning without one.

    Args:
        part: The reasoning. Its proof is its signature, that of the part of an answer as Gemini signs it, or a member
            ``data`` of what the model wrote encrypted.
        always: Whether reasoning without one gets a seal that holds nothing, to be known again as another vendor's.
    """
    if not part.signature and "data" not in part.extra and signature_in(part.extra) is None:
        return _NOTHING if always else None
    extra = {name: value for name, value in part.extra.items() if name != "type" or value != "thinking"}
    value: dict[str, Any] = {"t": part.text}
    value |= {"s": part.signature} if part.signature else {}
    value |= {"x": extra} if extra else {}
    plain = dumps(value)
    packed = zlib.compress(plain, 6)
    if len(plain) > _room(packed):  # nobody is to open what might as well be a bomb
        packed = zlib.compress(plain, 0)
    return SEAL + base64.urlsafe_b64encode(packed).decode("ascii").rstrip("=")


_NOTHING: Final = f"{SEAL}{base64.urlsafe_b64encode(zlib.compress(dumps({'t': ''}))).decode('ascii').rstrip('=')}"


def _room(packed: bytes) -> int:
    """Bytes that a seal of this size may hold."""
    return min(_LARGEST, _LEAST + _RATIO * len(packed))


def opened(text: str) -> Reasoning | None:
    """What was sealed; None where the text is no seal, or one that cannot be trusted to be whole."""
    if not text.startswith(SEAL):
        return None
    body = text[len(SEAL) :]
    try:
        packed = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        unpacker = zlib.decompressobj()
        plain = unpacker.decompress(packed, _room(packed))
        value = loads(plain) if unpacker.eof and not unpacker.unused_data else None
    except (binascii.Error, zlib.error, ValueError, JSONError):
        return None
    if not isinstance(value, dict):
        return None
    said, signature, extra = value.get("t"), value.get("s"), value.get("x", {})
    if not isinstance(said, str) or not isinstance(signature, str | None) or not isinstance(extra, dict):
        return None
    return Reasoning(said, signature, extra=extra)


def opened_bytes(data: str) -> Reasoning | None:
    """What was sealed and then written as bytes; None where the base64 is of anything else."""
    if not data.startswith(BINARY.decode("ascii")):
        return None
    try:
        return opened(base64.b64decode(data, validate=True).decode("ascii"))
    except (binascii.Error, ValueError):
        return None


def is_tagged(signature: str | None) -> bool:
    """Whether a signature says itself whose it is: it was made here, and the vendors that sign in base64 refuse it."""
    return signature is not None and (signature.startswith(SEAL) or _TAG.match(signature) is not None)
