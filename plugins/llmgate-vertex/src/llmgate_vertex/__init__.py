"""Google Vertex AI: where Google's credentials are found, and requests as each publisher's models take them."""

from __future__ import annotations

from llmgate.spec import hookimpl

from .adapter import VertexModels
from .credentials import GoogleCredentials

__all__ = ["GoogleCredentials", "VertexModels", "llmgate_register_provider_adapters", "llmgate_register_secret_stores"]


@hookimpl
def llmgate_register_provider_adapters() -> type[VertexModels]:
    """``vertex-models``."""
    return VertexModels


@hookimpl
def llmgate_register_secret_stores() -> type[GoogleCredentials]:
    """``google-credentials``."""
    return GoogleCredentials
