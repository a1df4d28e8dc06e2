"""Asks name servers for the text that the owner of a domain has published; the standard library cannot (RFC 1035).

Over UDP, and over TCP where the answer is too long. An answer counts when it comes from the server that was asked, to
the question that was asked, with the number that was made up for it.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

__all__ = ["NameLookupError", "NameServers", "configured_servers"]

RESOLV_CONF: Final = Path("/etc/resolv.conf")
PORT: Final = 53
_TXT: Final = 16
_IN: Final = 1
_RECURSION: Final = 0x0100
_IS_ANSWER: Final = 0x8000
_TRUNCATED: Final = 0x0200
_NO_SUCH_NAME: Final = 3
_HEADER: Final = struct.Struct(">HHHHHH")
_RECORD: Final = struct.Struct(">HHIH")
_MOST_LABELS: Final = 128
_LARGEST_UDP: Final = 1232
"""Bytes of an answer over UDP that arrive everywhere (DNS flag day 2020)."""


class NameLookupError(Exception):
    """No name server has answered, or none with anything to go by; the message says which were asked."""


def configured_servers(path: Path = RESOLV_CONF) -> Sequence[tuple[str, int]]:
    """The name servers that this machine asks, in order; none where the file is not there.

    Args:
        path: The file that lists them (resolv.conf).
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    words = [line.split() for line in lines]
    return [(found[1].partition("%")[0], PORT) for found in words if len(found) > 1 and found[0] == "nameserver"]


@attrs.frozen
class NameServers:
    """Name servers that are asked one after the other until one answers.

    Args:
        servers: Their addresses and ports.
        timeout: Seconds that each may take.
    """

    servers: Sequence[tuple[str, int]]
    timeout: float = 3.0

    async def texts(self, name: str) -> Sequence[str]:
        """The text records of a name; none where the name has none, or is not there.

        Args:
            name: A plain host name.

        Raises:
            NameLookupError: no server has answered.
        """
        failures = []
        for server in self.servers:
            try:
                async with asyncio.timeout(self.timeout):
                    return await _ask(server, name)
            except (OSError, TimeoutError, ValueError) as failure:
                failures.append(f"{server[0]}:{server[1]} ({str(failure) or 'no answer in time'})")
        raise NameLookupError(f"no name server answered for {name}: {', '.join(failures) or 'none is configured'}")


async def _ask(server: tuple[str, int], name: str) -> Sequence[str]:
    query = _query(name)
    answer = await _over_udp(server, query)
    if _HEADER.unpack_from(answer)[1] & _TRUNCATED:
        answer = await _over_tcp(server, query)
    return _texts(answer, query)


def _query(name: str) -> bytes:
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    if not all(0 < len(label) < 64 for label in labels) or sum(len(label) + 1 for label in labels) > 254:
        raise ValueError("it is no host name")
    question = b"".join(bytes([len(label)]) + label for label in labels) + b"\0" + struct.pack(">HH", _TXT, _IN)
    options = b"\0" + struct.pack(">HHIH", 41, _LARGEST_UDP, 0, 0)  # EDNS (RFC 6891): how much may come
    return _HEADER.pack(secrets.randbits(16), _RECURSION, 1, 0, 0, 1) + question + options


class _Waiting(asyncio.DatagramProtocol):
    """Waits for the datagram that answers a query; others are thrown away.

    Args:
        query: The query.
    """

    def __init__(self, query: bytes) -> None:
        self._query = query
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - the socket is connected
        """Take what answers the query."""
        if not self.answer.done() and _answers(data, self._query):
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody is there."""
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _over_udp(server: tuple[str, int], query: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    transport, waiting = await loop.create_datagram_endpoint(lambda: _Waiting(query), remote_addr=server)
    try:
        transport.sendto(query)
        return await waiting.answer
    finally:
        transport.close()


async def _over_tcp(server: tuple[str, int], query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(struct.pack(">H", len(query)) + query)
        await writer.drain()
        (length,) = struct.unpack(">H", await reader.readexactly(2))
        answer = await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        raise ValueError("the answer was cut off") from None
    finally:
        writer.close()
    if not _answers(answer, query):
        raise ValueError("the answer is to another question")
    return answer


def _answers(data: bytes, query: bytes) -> bool:
    """Whether data are an answer to the query: its number, and its question, letters in any case."""
    end = _end_of_question(query)
    if len(data) < end or data[:2] != query[:2] or not _HEADER.unpack_from(data)[1] & _IS_ANSWER:
        return False
    return data[_HEADER.size : end].lower() == query[_HEADER.size : end].lower()


def _end_of_question(query: bytes) -> int:
    return query.index(b"\0", _HEADER.size) + 5


def _texts(answer: bytes, query: bytes) -> Sequence[str]:
    """The text records in an answer.

    Raises:
        ValueError: the server has failed, or the answer makes no sense.
    """
    _, flags, _, count, _, _ = _HEADER.unpack_from(answer)
    if flags & 0xF == _NO_SUCH_NAME:
        return ()
    if flags & 0xF:
        raise ValueError(f"it failed with code {flags & 0xF}")
    place, found = _end_of_question(query), []
    try:
        for _ in range(count):
            place = _skip_name(answer, place)
            kind, _, _, length = _RECORD.unpack_from(answer, place)
            place += _RECORD.size
            if place + length > len(answer):
                raise ValueError("the answer is cut off")
            if kind == _TXT:
                found.append(_strings(answer[place : place + length]))
            place += length
    except (IndexError, struct.error):
        raise ValueError("the answer is cut off") from None
    return found


def _skip_name(data: bytes, place: int) -> int:
    """Where a name ends: at its root, or behind a pointer to elsewhere, which is not followed."""
    for _ in range(_MOST_LABELS):
        length = data[place]
        if length >= 0xC0:
            return place + 2
        place += length + 1
        if length == 0:
            return place
    raise ValueError("a name in the answer does not end")


def _strings(data: bytes) -> str:
    """The strings of one record, put together, as everybody reads them (RFC 7208, 3.3)."""
    pieces = []
    while data:
        pieces.append(data[1 : data[0] + 1])
        data = data[data[0] + 1 :]
    return b"".join(pieces).decode("utf-8", "replace")
