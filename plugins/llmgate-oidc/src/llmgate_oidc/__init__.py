"""Callers known by signed tokens of identity providers: OpenID Connect, and OAuth 2 access tokens that are JWTs."""

from __future__ import annotations

from llmgate.spec import hookimpl

from .auth import Oidc
from .config import OidcConfig
from .errors import IssuerUnavailableError

__all__ = ["IssuerUnavailableError", "Oidc", "OidcConfig", "llmgate_register_auth_providers"]


@hookimpl
def llmgate_register_auth_providers() -> type[Oidc]:
    """``oidc``."""
    return Oidc
