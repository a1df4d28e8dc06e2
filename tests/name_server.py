"""A name server on loopback, over UDP and TCP, that says what a test wants said."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

__all__ = ["NameServer", "name_server"]


def _sockets() -> tuple[socket.socket, socket.socket]:
    """One for TCP and one for UDP, at the same port."""
    while True:
        tcp, udp = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind(tcp.getsockname())
        except OSError:  # somebody else has it
            tcp.close()
            udp.close()
        else:
            return tcp, udp


class NameServer:
    """What it answers, and what it was asked.

    Args:
        texts: The text records of each name, lower case.
    """

    def __init__(self, texts: Mapping[str, Sequence[str]]) -> None:
        self.texts = dict(texts)
        self.asked: list[str] = []
        self.code = 0
        self.spoil = lambda answer, tcp: [answer]
        """Makes of an answer what is sent for it over UDP (``tcp`` false) or TCP."""
        self.tcp, self.udp = _sockets()
        self.port: int = self.tcp.getsockname()[1]

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def answer(self, query: bytes, *, tcp: bool) -> bytes:
        """The answer to a query, truncated where it does not fit a datagram."""
        end = query.index(b"\0", 12) + 5
        labels, place = [], 12
        while query[place]:
            labels.append(query[place + 1 : place + 1 + query[place]].decode())
            place += query[place] + 1
        name = ".".join(labels).lower()
        self.asked.append(name)
        records = b""
        for text in self.texts.get(name, ()):
            data = text.encode()
            strings = b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
            records += b"\xc0\x0c" + struct.pack(">HHIH", 16, 1, 60, len(strings)) + strings
        flags = 0x8180 | self.code | (3 if name not in self.texts and not self.code else 0)
        count = len(self.texts.get(name, ()))
        if not tcp and len(records) > 400:
            records, count, flags = b"", 0, flags | 0x0200
        return query[:2] + struct.pack(">HHHHH", flags, 1, count, 0, 0) + query[12:end] + records

    def serve_udp(self) -> None:
        with suppress(OSError):
            while True:
                query, peer = self.udp.recvfrom(2048)
                if query == b"":
                    return
                for piece in self.spoil(self.answer(query, tcp=False), False):
                    self.udp.sendto(piece, peer)

    def serve_tcp(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self.tcp.accept()
                with peer:
                    size = peer.recv(2)
                    if len(size) < 2:
                        return
                    query = peer.recv(struct.unpack(">H", size)[0])
                    for piece in self.spoil(self.answer(query, tcp=True), True):
                        peer.sendall(struct.pack(">H", len(piece)) + piece)


@contextmanager
def name_server(texts: Mapping[str, Sequence[str]]) -> Iterator[NameServer]:
    """A name server for the length of a test."""
    server = NameServer(texts)
    threads = [threading.Thread(target=work, daemon=True) for work in (server.serve_udp, server.serve_tcp)]
    for thread in threads:
        thread.start()
    try:
        yield server
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", server.address)
        with suppress(OSError):
            socket.create_connection(server.address, timeout=2).close()
        for thread in threads:
            thread.join(5)
        server.udp.close()
        server.tcp.close()
