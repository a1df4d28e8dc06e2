"""Secrets of a Kubernetes cluster, read by its API."""

from __future__ import annotations

from llmgate.spec import hookimpl

from .store import KubernetesSecrets

__all__ = ["KubernetesSecrets", "llmgate_register_secret_stores"]


@hookimpl
def llmgate_register_secret_stores() -> type[KubernetesSecrets]:
    """``kubernetes-secrets``."""
    return KubernetesSecrets
