"""Amazon Bedrock with AWS's own credentials: where they are found, and requests that are signed with them."""

from __future__ import annotations

from llmgate.spec import hookimpl

from .adapter import BedrockSigV4
from .credentials import AwsCredentials

__all__ = ["AwsCredentials", "BedrockSigV4", "llmgate_register_provider_adapters", "llmgate_register_secret_stores"]


@hookimpl
def llmgate_register_provider_adapters() -> type[BedrockSigV4]:
    """``bedrock-sigv4``."""
    return BedrockSigV4


@hookimpl
def llmgate_register_secret_stores() -> type[AwsCredentials]:
    """``aws-credentials``."""
    return AwsCredentials
