"""The wire format ``bedrock-converse``: Converse and ConverseStream of Amazon Bedrock."""

from __future__ import annotations

from collections.abc import Mapping

from llmgate.formats.chat_format import ChatFormat
from llmgate.formats.sealing import BINARY, PROOFS, is_tagged
from llmgate.spec import (
    Blob,
    ChatResponse,
    Citation,
    Format,
    GatewayError,
    GatewayRequest,
    Part,
    Reasoning,
    StreamEncoder,
    StreamReader,
)

from . import citations, errors, fitting, requests, responses
from .encoder import HEARTBEAT, ConverseStreamEncoder
from .fitting import FIELDS
from .parts import FORMAT
from .stream import ConverseStreamReader

__all__ = ["BedrockConverseFormat"]


class BedrockConverseFormat(ChatFormat):
    """Amazon Bedrock Converse; streams are in AWS's own encoding.

    Args:
        shows_sequence: Whether the client asked which of its texts ended an answer.
    """

    name = FORMAT
    fields = FIELDS
    ends = responses.ENDS
    stop_text = "additionalModelResponseFields.stop_sequence"
    addressed = True
    longest_tool_name = 64
    stream_media_type = "application/vnd.amazon.eventstream"
    heartbeat = HEARTBEAT
    foreign_proofs = (*PROOFS, b'"' + BINARY)
    request_id_header = "x-amzn-requestid"
    request_header_prefixes = ("x-amzn-bedrock-",)
    response_headers = frozenset({"retry-after", errors.ERROR_TYPE})
    response_header_prefixes = ("x-amzn-bedrock-",)
    requests, responses, errors, fitting = requests, responses, errors, fitting

    def __init__(self, *, shows_sequence: bool = True) -> None:
        self._shows_sequence = shows_sequence

    def answering(self, request: GatewayRequest) -> Format:
        """This format, for the answers to one request: clients are told of the model's own answer what they ask for."""
        return self if requests.asks_for_sequence(request) else BedrockConverseFormat(shows_sequence=False)

    def encode_response(self, response: ChatResponse) -> bytes:
        """The response in this format."""
        return responses.encode_response(response, shows_sequence=self._shows_sequence)

    def is_foreign(self, part: Reasoning) -> bool:
        """Whether reasoning carries the proof of a model of another format."""
        return is_tagged(part.signature) or str(part.extra.get("data", "")).startswith(BINARY.decode("ascii"))

    def address(self, path: str, *, model: str, stream: bool) -> str:
        """Where a request goes: streams have an address of their own."""
        return super().address(path, model=model, stream=stream) + ("-stream" if stream else "")

    def says(self, said: Citation | Part) -> bool:
        """Whether an answer in this format has words for a source, or a place for media."""
        if isinstance(said, Citation):
            return citations.says(said)
        return isinstance(said, Blob) and said.modality == "image"

    def error_status(self, error: GatewayError) -> int:
        """The HTTP status of an error in this format."""
        return errors.error_status(error)

    def error_headers(self, error: GatewayError) -> Mapping[str, str]:
        """The class of an error, which clients read there."""
        return {errors.ERROR_TYPE: errors.type_of(error)}

    def stream_reader(self, *, withhold_usage: bool = False) -> StreamReader:  # noqa: ARG002 - usage always comes
        """A reader for one stream."""
        return ConverseStreamReader()

    def stream_encoder(self, *, include_usage: bool = False) -> StreamEncoder:  # noqa: ARG002 - usage always comes
        """An encoder for one stream."""
        return ConverseStreamEncoder(shows_sequence=self._shows_sequence)
