"""A stream that an interceptor has kept and gives again, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmgate.formats import get_format
from llmgate.spec import GatewayChunk, GatewayResponse

__all__ = ["KeptStream"]


class KeptStream:
    """A whole stream of events as the source of another one; see ``StreamSource``.

    Args:
        response: The stream, in the caller's wire format, terminal marker included (``response.streamed``).
        decode: Whether somebody reads the chunks.

    Raises:
        ProviderProtocolError: it is not a whole stream in its wire format.
    """

    relay = True
    withhold_usage = False
    sequence = 0
    received = 0

    def __init__(self, response: GatewayResponse, *, decode: bool) -> None:
        reader = get_format(response.format).stream_reader()
        self.decode = decode
        self.headers: Mapping[str, str] = {}
        self.held_bytes: list[bytes] = []
        self.held_chunks: list[GatewayChunk] = []
        if decode:
            self.held_chunks.extend(reader.decode(response.body))
        else:
            self.held_bytes.append(reader.relay(response.body))
        reader.finish()
        self.terminal = reader.terminal
        self.outcome = response.outcome
        self.outcome.complete = True

    async def read_bytes(self) -> bytes:
        """Never asked for: everything is held already."""
        raise NotImplementedError

    async def read_chunks(self) -> Sequence[GatewayChunk]:
        """Never asked for: everything is held already."""
        raise NotImplementedError

    async def drain(self) -> None:
        """There is no upstream."""

    async def aclose(self) -> None:
        """There is no upstream."""
