"""Undoing the compression of an answer, with bounds.

aiohttp hands out a truncated gzip body as if it were whole, and inflates whatever it gets without limit. So it is told
to leave bodies alone. Providers are asked for ``identity``; this is for those that compress all the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

__all__ = ["MAX_RATIO", "RATIO_FLOOR", "DecodingError", "Inflater", "inflater_for"]

MAX_RATIO: Final = 100
"""How many times longer than what came a decompressed body may be: text reaches ten times, a bomb a thousand."""

RATIO_FLOOR: Final = 1024 * 1024
"""Bytes of output up to which the ratio is not looked at."""

_PIECE: Final = 256 * 1024
_GZIP_WBITS: Final = 31
_ZLIB_WBITS: Final = 15
_RAW_WBITS: Final = -15


class DecodingError(Exception):
    """A body cannot be decoded; the message ends a sentence that begins with the provider's name."""


class Inflater:
    """Inflates one body, piece by piece.

    Args:
        gzip: Whether it is gzip (RFC 1952, any number of members) rather than HTTP's ``deflate`` (RFC 9110, 8.4.1.2:
            zlib, which some servers take to mean raw deflate).
    """

    __slots__ = ("_given", "_gzip", "_stream", "_taken")

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._taken = 0
        self._given = 0
        self._stream = zlib.decompressobj(_GZIP_WBITS) if gzip else None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What a piece inflates to, in pieces of bounded size; to be read to its end.

        Raises:
            DecodingError: the data are damaged, or inflate beyond ``MAX_RATIO``.
        """
        self._taken += len(data)
        if self._stream is None:
            self._stream = zlib.decompressobj(_ZLIB_WBITS if data[0] & 0x8F == 0x08 else _RAW_WBITS)
        more = True
        while data or more:
            if self._stream.eof:
                data = data.lstrip(b"\0") if self._gzip else data  # members may be padded
                if not data:
                    return
                if not self._gzip:
                    raise DecodingError("sent more than the compressed answer")
                self._stream = zlib.decompressobj(_GZIP_WBITS)
            try:
                piece = self._stream.decompress(data, _PIECE)
            except zlib.error:
                raise DecodingError("sent a damaged compressed answer") from None
            data = self._stream.unused_data or self._stream.unconsumed_tail
            more = len(piece) == _PIECE
            if piece:
                self._given += len(piece)
                if self._given > RATIO_FLOOR and self._given > MAX_RATIO * self._taken:
                    raise DecodingError(f"sent an answer that inflates to more than {MAX_RATIO} times its size")
                yield piece

    def finish(self) -> None:
        """Say that the body has ended.

        Raises:
            DecodingError: it ended too early. (No byte at all is no error: answers without a body name encodings too.)
        """
        if self._stream is not None and self._taken and not self._stream.eof:
            raise DecodingError("sent a compressed answer that is cut off")


def inflater_for(encoding: str) -> Inflater | None:
    """What undoes a ``content-encoding``; None where there is nothing to undo.

    Raises:
        DecodingError: the encoding is not one that llmgate reads.
    """
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return None
    if name in {"gzip", "x-gzip", "deflate"}:
        return Inflater(gzip=name != "deflate")
    # The name is the provider's own text: bounded, and quoted so that it cannot pass for ours.
    raise DecodingError(f"compressed its answer as {name[:40]!r}, which was not asked for and is not read")
