"""The adapter: each publisher's models where and how Vertex AI has them called."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

import attrs

from llmgate.codecs.jsons import REMOVE, JSONError, top
from llmgate.formats.adapter import FormatAdapter, build_request
from llmgate.spec import AttemptCall, ConfigError, Deployment, InvalidRequestError, NoConfig, ProviderRequest

from .publishers import formats_of, name_of
from .row import ROW

__all__ = ["ANTHROPIC_VERSION", "VertexModels"]

ANTHROPIC_VERSION: Final = "vertex-2023-10-16"
"""The version of Anthropic's API in a body; the header that says it elsewhere means nothing to Vertex AI."""

_PLACE: Final = re.compile(r".*/projects/[^/{]+/locations/[^/{]+")
_WHOLE: Final = ":rawPredict"
_STREAMED: Final = ":streamRawPredict"


class VertexModels(FormatAdapter[NoConfig]):
    """Vertex AI: Gemini by generateContent, Claude by rawPredict, all others by the endpoint of OpenAI's format."""

    name = "vertex-models"
    config_class = NoConfig
    row = ROW

    def formats_of(self, deployment: Deployment) -> Collection[str]:
        """The wire formats of the model's publisher."""
        return formats_of(deployment.model)

    def build_request(self, call: AttemptCall) -> ProviderRequest:
        """The HTTP request for a call.

        Raises:
            ConfigError: the provider's address names no project and location.
        """
        if call.relay is not None:
            return build_request(call)
        provider = call.deployment.provider
        if not _PLACE.fullmatch(provider.base_url):
            raise ConfigError(f"provider {provider.name!r}: its base-url names no place: write it as {ROW.address}")
        if call.format.name != "openai-chat":
            deployment = attrs.evolve(call.deployment, model=name_of(call.deployment.model))
            call = attrs.evolve(call, deployment=deployment)
        request = build_request(call)
        if call.format.name == "anthropic-messages":
            request = _enveloped(request, stream=call.stream)
        elif call.format.name == "anthropic-count-tokens":
            request = attrs.evolve(request, body=_patched(request.body or b"", {"model": call.deployment.model}))
        # Google writes the @ before a version plainly, which an address may.
        return attrs.evolve(request, url=request.url.replace("%40", "@"))


def _enveloped(request: ProviderRequest, *, stream: bool) -> ProviderRequest:
    """A request of Anthropic Messages as rawPredict takes it.

    Source: Anthropic, "Claude on Vertex AI": the model stands in the address, the API's version in the body.
    """
    url = request.url.removesuffix(_WHOLE) + _STREAMED if stream else request.url
    headers = {name: value for name, value in request.headers.items() if name != "anthropic-version"}
    body = _patched(request.body or b"", {"model": REMOVE, "anthropic_version": ANTHROPIC_VERSION})
    return attrs.evolve(request, url=url, headers=headers, body=body)


def _patched(body: bytes, changes: dict[str, object]) -> bytes:
    try:
        return top(body).patched(changes)
    except JSONError as error:
        raise InvalidRequestError(f"the request body is refused: {error}", code="invalid_json") from None
