"""The kind that speaks to model vendors: pure translation between values and HTTP messages."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from typing import ClassVar

import attrs

from .deployments import Deployment, ProviderRow
from .errors import ProviderError
from .formats import Format, StreamReader
from .identity import Secret
from .operations import Operation
from .requests import ChatRequest, RelayTarget
from .responses import GatewayResponse
from .stage import ConfigT, Stage, StageContext
from .transport import ProviderRequest, ProviderResponse, Transport
from .uploads import Upload

__all__ = ["AttemptCall", "ProviderAdapter", "RelayBody"]


@attrs.frozen(eq=False)
class RelayBody:
    """A body in the provider's own wire format that goes out as it is.

    Args:
        data: The bytes; ``b""`` where ``upload`` stands in their place.
        upload: A body that goes out as it comes, with its own content type.
    """

    data: bytes = attrs.field(repr=False)
    upload: Upload | None = attrs.field(default=None, repr=False)


@attrs.frozen(eq=False, slots=False)
class AttemptCall:
    """Everything an adapter needs for one attempt.

    Args:
        operation: What is asked for.
        deployment: Where it goes.
        format: The wire format to speak, one of the provider's row.
        body: What to send: a body already in that format, or a canonical request to be written in it.
        stream: Whether a streamed answer is wanted.
        secret: The credential; None for a keyless provider.
        headers: Client headers that may go upstream, lower-case names.
        relay: For ``Operation.RELAY``, where the request goes; ``body`` is then sent as it is.
        withhold_usage: Whether the stream's usage-only event was asked for by the gateway and is not the client's.
        now: Seconds since the epoch, for signatures.
    """

    operation: Operation
    deployment: Deployment
    format: Format
    body: RelayBody | ChatRequest
    stream: bool
    secret: Secret | None
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    relay: RelayTarget | None = None
    withhold_usage: bool = False
    now: float = 0.0


class ProviderAdapter(Stage[ConfigT]):
    """Builds requests to a vendor and reads its answers. No sockets, no clock, no globals."""

    operations: ClassVar[frozenset[Operation]] = frozenset({Operation.CHAT})
    row: ClassVar[ProviderRow | str | None] = None
    """What a provider is made from that uses this adapter: a row that it brings, which goes before the catalogue's, or
    the name of one of the catalogue's for a provider whose own name is none; None for an adapter of any vendor."""

    def formats_of(self, deployment: Deployment) -> Collection[str]:
        """The wire formats that a deployment speaks, preferred first; those of its provider's row.

        An adapter overrides it where a vendor's models differ in what they speak; all it names are the row's.
        """
        return deployment.provider.row.formats

    @abstractmethod
    def build_request(self, call: AttemptCall) -> ProviderRequest:
        """The HTTP request for a call; the same call gives the same bytes.

        Raises:
            InvalidRequestError: the vendor has no counterpart for something that changes the meaning.
        """

    @abstractmethod
    def parse_response(self, call: AttemptCall, response: ProviderResponse) -> GatewayResponse:
        """The whole answer behind a success status.

        Raises:
            ProviderProtocolError: the body is not what the wire format allows.
            ProviderError: the body is an error inside a 200.
        """

    @abstractmethod
    def parse_error(self, call: AttemptCall, response: ProviderResponse) -> ProviderError:
        """The error behind any other status, whatever its body is (JSON, HTML, nothing)."""

    @abstractmethod
    def stream_reader(self, call: AttemptCall) -> StreamReader:
        """A reader for the body of a streamed answer."""

    def make_transport(self, context: StageContext) -> Transport | None:
        """A transport of the adapter's own (an embedded model, a bridge); None for the gateway's."""
        return None
