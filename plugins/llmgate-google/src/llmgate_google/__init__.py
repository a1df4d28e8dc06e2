"""Secrets of Google Secret Manager."""

from __future__ import annotations

from llmgate.spec import hookimpl

from .store import GoogleSecrets

__all__ = ["GoogleSecrets", "llmgate_register_secret_stores"]


@hookimpl
def llmgate_register_secret_stores() -> type[GoogleSecrets]:
    """``google-secrets``."""
    return GoogleSecrets
