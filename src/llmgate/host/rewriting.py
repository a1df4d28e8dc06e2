"""Answers that are written in one way and sent in another: what stands between a stream's events and its client."""

from __future__ import annotations

from abc import abstractmethod

from llmgate.spec import GatewayChunk, StreamEncoder

__all__ = ["Rewriter", "RewrittenFormat"]


class Rewriter(StreamEncoder):
    """Turns what has been written of one answer into what its client understands."""

    @abstractmethod
    def rewritten(self, events: bytes) -> bytes:
        """What goes down for whole events, or for any piece of them."""

    @abstractmethod
    def end(self) -> bytes:
        """What closes the stream."""

    def whole(self, body: bytes) -> bytes:
        """What goes down for a whole answer."""
        return body

    def encode(self, chunk: GatewayChunk) -> bytes:  # noqa: ARG002 - the interface
        """Nothing: what is encoded comes as events."""
        return b""


class RewrittenFormat:
    """A wire format of one call whose answers are rewritten; its ``stream_encoder`` is the rewriter."""

    rewriter: Rewriter
