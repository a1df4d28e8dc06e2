"""The Ollama surface: chat, and what Ollama's clients ask before it: the version, the models, one model's abilities.

Source: Ollama, docs/api.md and server/routes.go. Its clients are given a host and add ``/api/…`` themselves, so that
the surface stands at the root, below a router and below ``/as/ollama``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Route

from llmgate.catalogue import facts_of
from llmgate.codecs.jsons import JSONError, dumps, top
from llmgate.formats import get_format
from llmgate.host.calls import Call
from llmgate.host.endpoints import Endpoint
from llmgate.host.reading import require_json
from llmgate.spec import InvalidRequestError, ModelNotFoundError, Operation

from .openai import answer

if TYPE_CHECKING:
    from llmgate.pipeline import ModelEntry

__all__ = ["CHAT", "SHOW", "TAGS", "VERSION", "chat", "routes", "show", "tags", "version"]

SURFACE: Final = "ollama"

MOUNTS: Final = ("/api", "/as/ollama/api", "/router/{router}/api")

API_VERSION: Final = "0.13.0"
"""The release of Ollama whose API this is: the first with ids of tool calls. Clients compare it with what they need."""

_EPOCH: Final = "1970-01-01T00:00:00Z"
"""What the API says of models whose date is not known."""

_LONGEST_SHOWN: Final = 200


def routes() -> Sequence[Route]:
    """The routes of this surface."""
    table: list[Route] = []
    for mount in MOUNTS:
        table.append(Route(f"{mount}/chat", CHAT, name="ollama_chat"))
        table.append(Route(f"{mount}/tags", TAGS, name="ollama_tags"))
        table.append(Route(f"{mount}/show", SHOW, name="ollama_show"))
        table.append(Route(f"{mount}/version", VERSION, name="ollama_version"))
    return table


async def chat(call: Call) -> None:
    """Answer a chat request, as a stream unless it says otherwise."""
    call.wire_format = get_format("ollama-chat")
    await answer(call, surface=SURFACE)


async def tags(call: Call) -> None:
    """List what the caller may call."""
    async with call.exchange(Operation.MODELS, SURFACE) as exchange:
        entries = await exchange.models(call.params.get("router"))
    await call.reply.whole(200, call.answer_headers(), dumps({"models": [_tag(entry) for entry in entries]}))


async def show(call: Call) -> None:
    """Tell what one model that the caller may call can do."""
    async with call.exchange(Operation.MODELS, SURFACE) as exchange:
        with call:
            require_json(call.headers)
            wanted = _model_in(await call.read())
            call.watch()
            entries = await exchange.models(call.params.get("router"))
    if not any(entry.id == wanted for entry in entries):
        raise ModelNotFoundError(f"model '{wanted[:_LONGEST_SHOWN]}' not found", param="model")
    await call.reply.whole(200, call.answer_headers(), dumps(_shown(wanted)))


async def version(call: Call) -> None:
    """Tell the release of Ollama whose API this is; who may not call anything is not told."""
    async with call.exchange(Operation.MODELS, SURFACE):
        pass
    await call.reply.whole(200, call.answer_headers(), dumps({"version": API_VERSION}))


def _model_in(body: bytes) -> str:
    """The model that a request to show one names; older clients call the field ``name``.

    Raises:
        InvalidRequestError: it names none.
    """
    try:
        read = top(body)
    except JSONError as error:
        raise InvalidRequestError(f"the request body is refused: {error}", code="invalid_json") from None
    model = read.get("model") or read.get("name")
    if not isinstance(model, str) or not model:
        raise InvalidRequestError("model must be a non-empty string", param="model", code="missing_model")
    return model


def _tag(entry: ModelEntry) -> dict[str, Any]:
    digest = hashlib.sha256(entry.id.encode("utf-8", "replace")).hexdigest()
    head = {"name": entry.id, "model": entry.id, "modified_at": _EPOCH, "size": 0, "digest": digest}
    return {**head, "details": _details(entry.owned_by)}


def _shown(model: str) -> dict[str, Any]:
    """What is known of a model. Tools are what every surface takes; pictures nobody here can promise."""
    facts = facts_of(model)
    thinks = facts.reasons or bool(facts.efforts)
    info: dict[str, Any] = {"general.architecture": "llmgate", "general.basename": model}
    if facts.context_window is not None:
        info["llmgate.context_length"] = facts.context_window
    return {
        "modelfile": "",
        "parameters": "",
        "template": "",
        "details": _details(model.partition("/")[0]),
        "model_info": info,
        "capabilities": ["completion", "tools", *(["thinking"] if thinks else [])],
        "modified_at": _EPOCH,
    }


def _details(family: str) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "",
        "family": family,
        "families": [family],
        "parameter_size": "",
        "quantization_level": "",
    }


CHAT: Final = Endpoint(("POST",), chat)
TAGS: Final = Endpoint(("GET", "HEAD"), tags)
SHOW: Final = Endpoint(("POST",), show)
VERSION: Final = Endpoint(("GET", "HEAD"), version)
