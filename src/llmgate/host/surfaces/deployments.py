"""Addresses that name the model: Azure's deployments, and the engines of openai 0.x.

Sources: Azure OpenAI REST reference (``/openai/deployments/{deployment}/…?api-version=``) and the Azure client of
openai-python, which writes so; openai-python 0.28, ``EngineAPIResource.class_url`` (``/engines/{engine}/…``). The model
in the address wins over one in the body, as it does there. ``api-version`` is accepted and goes no further: Azure's v1
API, which its row speaks, takes none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.routing import Route

from .media import ENDPOINTS
from .openai import CHAT, COMPLETIONS, EMBEDDINGS

__all__ = ["routes"]

PREFIXES: Final = (
    "/openai/deployments/{deployment:path}",
    "/router/{router}/openai/deployments/{deployment:path}",
    "/v1/engines/{deployment:path}",
    "/engines/{deployment:path}",
)

SERVED: Final = {
    "chat/completions": CHAT,
    "completions": COMPLETIONS,
    "embeddings": EMBEDDINGS,
    **{path: ENDPOINTS[path] for path in ENDPOINTS if path.startswith(("audio/", "images/"))},
}


def routes() -> Sequence[Route]:
    """The routes of these addresses; the longer ending is tried first, since a model's name may hold slashes."""
    return [
        Route(f"{prefix}/{path}", endpoint, name=f"deployment_{path.replace('/', '_')}")
        for prefix in PREFIXES
        for path, endpoint in SERVED.items()
    ]
