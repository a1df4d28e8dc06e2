"""The wire format ``anthropic-messages``: Anthropic's Messages, and the servers that copy them."""

from __future__ import annotations

from collections.abc import Sequence

from llmgate.formats.chat_format import ChatFormat
from llmgate.formats.losses import with_parts
from llmgate.formats.sealing import PROOFS
from llmgate.spec import Citation, GatewayError, Message, Part, StreamEncoder, StreamReader

from . import citations, errors, fitting, requests, responses
from .encoder import PING, MessageStreamEncoder
from .parts import FORMAT
from .stream import MessageStreamReader

__all__ = ["AnthropicMessagesFormat"]

_WHO_PAYS = frozenset({"anthropic-organization-id", "anthropic-workspace-id"})


class AnthropicMessagesFormat(ChatFormat):
    """Anthropic Messages.

    Every ``anthropic-*`` header of a client goes upstream, those that nobody knows yet included: features are switched
    on by headers and body together, and the vendor asks gateways to pass both on. Not so those that choose whom the
    gateway's own credential is billed to.
    """

    name = FORMAT
    fields = fitting.FIELDS
    ends = responses.ENDS
    stop_text = "stop_sequence"
    requests = requests
    responses = responses
    errors = errors
    fitting = fitting
    longest_tool_name = 128
    rate_limits = "anthropic"
    heartbeat = PING
    foreign_proofs = PROOFS
    request_id_header = "request-id"
    request_header_prefixes = ("anthropic-",)
    response_headers = frozenset({"retry-after", "retry-after-ms", "x-should-retry"})
    response_header_prefixes = ("anthropic-ratelimit-",)

    def allows_up(self, header: str) -> bool:
        """Whether a client's header goes upstream."""
        return header not in _WHO_PAYS and super().allows_up(header)

    def without_foreign_proofs(self, messages: Sequence[Message]) -> Sequence[Message]:
        """A conversation of this format without the thoughts and the pages that a model of another one has proved."""
        kept = super().without_foreign_proofs(messages)
        return tuple(with_parts(one, citations.without_marked(one.parts)) for one in kept)

    def says(self, said: Citation | Part) -> bool:
        """Whether an answer in this format has words for a source."""
        return isinstance(said, Citation) and citations.says(said)

    def error_status(self, error: GatewayError) -> int:
        """The HTTP status of an error in this format."""
        return errors.error_status(error)

    def stream_reader(self, *, withhold_usage: bool = False) -> StreamReader:  # noqa: ARG002 - usage has no event of its own
        """A reader for one stream."""
        return MessageStreamReader()

    def stream_encoder(self, *, include_usage: bool = False) -> StreamEncoder:  # noqa: ARG002 - usage always comes
        """An encoder for one stream."""
        return MessageStreamEncoder()
