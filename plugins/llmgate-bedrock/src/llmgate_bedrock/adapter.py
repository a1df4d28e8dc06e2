"""The adapter: requests of the formats that Bedrock speaks, signed."""

from __future__ import annotations

import re
from typing import Final

import attrs

from llmgate.codecs.aws_keys import Keys
from llmgate.codecs.aws_signing import signature_headers
from llmgate.formats.bedrock_anthropic.invoking import InvokingAdapter, invoked
from llmgate.spec import (
    AttemptCall,
    ConfigError,
    GatewayResponse,
    NoDeploymentError,
    ProviderError,
    ProviderRequest,
    ProviderResponse,
    Secret,
)

from .config import BedrockSigV4Config

__all__ = ["BedrockSigV4"]

_REGION: Final = re.compile(r"https?://(?:[^/]*\.)?bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.")


class BedrockSigV4(InvokingAdapter[BedrockSigV4Config]):
    """Amazon Bedrock with signed requests; the credential is a secret of ``aws-credentials``."""

    name = "bedrock-sigv4"
    config_class = BedrockSigV4Config
    row = "bedrock"

    def build_request(self, call: AttemptCall) -> ProviderRequest:
        """The HTTP request for a call, signed for the moment of the call.

        Raises:
            NoDeploymentError: there are no keys to sign with.
            ConfigError: nobody says for which region.
        """
        name = call.deployment.provider_name
        if call.secret is None:
            raise NoDeploymentError(
                f"provider {name!r} has no credential: write secret: STORE:default with a store `aws-credentials`",
                code="missing_credential",
            )
        try:
            keys = Keys.of_text(call.secret.reveal())
        except ValueError as error:
            raise NoDeploymentError(
                f"the credential of provider {name!r} cannot sign: {error}", code="unusable_credential"
            ) from None
        request = invoked(call, credential={})
        signed = signature_headers(
            request.method,
            request.url,
            request.headers,
            request.body or b"",
            keys,
            service="bedrock",
            region=self._region(call),
            now=call.now,
        )
        return attrs.evolve(request, headers={**request.headers, **signed})

    def parse_response(self, call: AttemptCall, response: ProviderResponse) -> GatewayResponse:
        """The whole answer behind a success status; its body stays as it came."""
        return super().parse_response(_naming_its_key(call), response)

    def parse_error(self, call: AttemptCall, response: ProviderResponse) -> ProviderError:
        """The error behind any other status."""
        return super().parse_error(_naming_its_key(call), response)

    def _region(self, call: AttemptCall) -> str:
        found = _REGION.match(call.deployment.provider.base_url)
        region = self.config.region or (found[1] if found is not None else None)
        if region is None:
            raise ConfigError(
                f"provider {call.deployment.provider_name!r}: its base-url names no region of AWS's: write region too"
            )
        return region


def _naming_its_key(call: AttemptCall) -> AttemptCall:
    """The call with nothing but the key's name as its secret: the one part that AWS is told, and may repeat."""
    if call.secret is None:
        return call
    try:
        access_key = Keys.of_text(call.secret.reveal()).access_key
    except ValueError:
        return call
    return attrs.evolve(call, secret=Secret(access_key, ref=call.secret.ref, version=call.secret.version))
