"""The adapter of a vendor whose wire format is known."""

from __future__ import annotations

from llmgate.spec import (
    AttemptCall,
    GatewayResponse,
    ProviderAdapter,
    ProviderError,
    ProviderProtocolError,
    ProviderRequest,
    ProviderResponse,
    StreamReader,
)
from llmgate.spec.stage import ConfigT

from .errors import error_inside_success, parse_error, shown_headers
from .requests import build_request

__all__ = ["FormatAdapter"]


class FormatAdapter(ProviderAdapter[ConfigT]):
    """Speaks the wire format that a call names, at the address and with the credential of its provider's row.

    Everything that differs between vendors is in their rows and in the format: a vendor that needs more derives from
    this and changes that one step.
    """

    def build_request(self, call: AttemptCall) -> ProviderRequest:
        """The HTTP request for a call."""
        return build_request(call)

    def parse_response(self, call: AttemptCall, response: ProviderResponse) -> GatewayResponse:
        """The whole answer behind a success status; its body stays as it came."""
        name = call.deployment.provider_name
        media_type = response.headers.get("content-type", call.format.media_type)
        try:
            outcome = call.format.observe_answer(media_type.partition(";")[0].strip().lower(), response.body)
        except ProviderProtocolError as error:
            raise ProviderProtocolError(
                f"provider {name!r}: {error.message}",
                provider_name=name,
                upstream_status=response.status,
                retryable=True,
            ) from None
        if outcome.error is not None:
            raise error_inside_success(call, outcome.error, response)
        return GatewayResponse(
            format=call.format.name,
            body=response.body,
            outcome=outcome,
            decode=call.format.decode_response,
            headers=shown_headers(call.format, response.headers),
            media_type=media_type,
        )

    def parse_error(self, call: AttemptCall, response: ProviderResponse) -> ProviderError:
        """The error behind any other status."""
        return parse_error(call, response)

    def stream_reader(self, call: AttemptCall) -> StreamReader:
        """A reader for the body of a streamed answer."""
        return call.format.stream_reader(withhold_usage=call.withhold_usage)
