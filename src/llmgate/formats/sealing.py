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
from llmgate.spec import Reasoning

__all__ = ["SEAL", "is_tagged", "opened", "sealed"]

SEAL: Final = "llmgate.1."
"""What a sealed proof begins with: the gateway's mark and the version of what follows."""

_LARGEST: Final = 8 * 1024 * 1024
"""Bytes that an opened seal may hold."""

_TAG: Final = re.compile(r"[a-z]+(?:-[a-z]+)*:")


def sealed(part: Reasoning) -> str | None:
    """The proof of a piece of reasoning, sealed; None for reasoning without one.

    Args:
        part: The reasoning. Its proof is its signature, or a member ``data`` of what the model wrote encrypted.
    """
    if not part.signature and "data" not in part.extra:
        return None
    extra = {name: value for name, value in part.extra.items() if name != "type" or value != "thinking"}
    value: dict[str, Any] = {"t": part.text}
    value |= {"s": part.signature} if part.signature else {}
    value |= {"x": extra} if extra else {}
    return SEAL + base64.urlsafe_b64encode(zlib.compress(dumps(value), 6)).decode("ascii").rstrip("=")


def opened(text: str) -> Reasoning | None:
    """What was sealed; None where the text is no seal, or one that cannot be trusted to be whole."""
    if not text.startswith(SEAL):
        return None
    body = text[len(SEAL) :]
    try:
        packed = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        unpacker = zlib.decompressobj()
        plain = unpacker.decompress(packed, _LARGEST)
        value = loads(plain) if unpacker.eof and not unpacker.unused_data else None
    except (binascii.Error, zlib.error, ValueError, JSONError):
        return None
    if not isinstance(value, dict):
        return None
    said, signature, extra = value.get("t"), value.get("s"), value.get("x", {})
    if not isinstance(said, str) or not isinstance(signature, str | None) or not isinstance(extra, dict):
        return None
    return Reasoning(said, signature, extra=extra)


def is_tagged(signature: str | None) -> bool:
    """Whether a signature says itself whose it is: it was made here, and the vendors that sign in base64 refuse it."""
    return signature is not None and (signature.startswith(SEAL) or _TAG.match(signature) is not None)
