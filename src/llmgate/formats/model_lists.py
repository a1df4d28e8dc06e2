"""The lists that providers keep of their models, whatever shape they have.

Nearly all are OpenAI's ``{"data": [{"id": ...}]}``; what vendors add differs, and is read by name. Sources: the API
references ("List models") of OpenAI, Anthropic, Gemini, Cohere, Mistral, Groq, Together, Fireworks, OpenRouter, Ollama
(``/api/tags``) and vLLM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import attrs

from llmgate.codecs.jsons import JSONError, loads
from llmgate.spec import ListedModel, ProviderProtocolError

from .listed_prices import listed_rates

__all__ = ["ModelPage", "read_model_page"]

_LISTS: Final = ("data", "models")
_NAMES: Final = ("id", "name", "model")
_WINDOWS: Final = (
    "context_window", "context_length", "max_context_length", "max_model_len", "max_input_tokens", "inputTokenLimit",
)  # fmt: skip
_OUTPUTS: Final = ("max_completion_tokens", "max_output_tokens", "outputTokenLimit", "max_tokens")
_NEXT: Final[Mapping[str, str]] = {"nextPageToken": "pageToken", "next_page_token": "page_token"}
"""Where a list says that there is more, and the parameter that asks for it."""

_LONGEST_NAME: Final = 256


@attrs.frozen
class ModelPage:
    """One page of a list.

    Args:
        models: The models, in the order of the list.
        more: The query that asks for the next page, ``""`` when this is the last.
    """

    models: Sequence[ListedModel]
    more: str = ""


def read_model_page(body: bytes) -> ModelPage:
    """One page of a provider's list of models; entries that name no model are left out.

    Args:
        body: The answer.

    Raises:
        ProviderProtocolError: it is not a list of models.
    """
    try:
        value = loads(body)
    except JSONError as error:
        raise _no_list(str(error)) from None
    entries = value
    if isinstance(value, dict):
        entries = next((value[name] for name in _LISTS if isinstance(value.get(name), list)), None)
    if not isinstance(entries, list):
        raise _no_list("there is no array of models in it")
    found = (_model(one) for one in entries if isinstance(one, dict))
    models = {one.id: one for one in found if one is not None}
    return ModelPage(tuple(models.values()), _more(value) if isinstance(value, dict) else "")


def _model(entry: Mapping[str, Any]) -> ListedModel | None:
    name = next((entry[key] for key in _NAMES if isinstance(entry.get(key), str)), "").removeprefix("models/")
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        return None
    return ListedModel(
        name, _number(entry, _WINDOWS), _max_output(entry), _modalities(entry), _tools(entry), listed_rates(entry)
    )


def _max_output(entry: Mapping[str, Any]) -> int | None:
    top = entry.get("top_provider")  # OpenRouter's place for it
    return _number(entry, _OUTPUTS) or (_number(top, _OUTPUTS) if isinstance(top, dict) else None)


def _number(entry: Mapping[str, Any], names: Sequence[str]) -> int | None:
    values = (entry.get(name) for name in names)
    return next((one for one in values if isinstance(one, int) and not isinstance(one, bool) and one > 0), None)


def _modalities(entry: Mapping[str, Any]) -> tuple[str, ...] | None:
    """What a model reads, where the list says so: OpenRouter's words, or the switches of others."""
    architecture = entry.get("architecture")
    said = architecture.get("input_modalities") if isinstance(architecture, dict) else entry.get("input_modalities")
    if isinstance(said, list):
        words = {str(one).lower() for one in said}
        return tuple(one for one in ("text", "image", "audio", "video") if one in words) + (
            ("document",) if words & {"file", "document", "pdf"} else ()
        )
    capabilities = entry.get("capabilities")
    sees = capabilities.get("vision") if isinstance(capabilities, dict) else entry.get("supports_image_input")
    if isinstance(sees, bool):
        return ("text", "image") if sees else ("text",)
    return None


def _tools(entry: Mapping[str, Any]) -> bool | None:
    """Whether a model calls tools, where the list says so."""
    parameters, features, capabilities = (
        entry.get(name) for name in ("supported_parameters", "features", "capabilities")
    )
    if isinstance(parameters, list):
        return "tools" in parameters
    if isinstance(features, list) and features:
        return "tools" in features
    said = capabilities.get("function_calling") if isinstance(capabilities, dict) else entry.get("supports_tools")
    if isinstance(capabilities, list):
        said = "tools" in capabilities
    return said if isinstance(said, bool) else None


def _more(value: Mapping[str, Any]) -> str:
    for name, parameter in _NEXT.items():
        if isinstance(value.get(name), str) and value[name]:
            return urlencode({parameter: value[name]})
    if value.get("has_more") is True and isinstance(value.get("last_id"), str):
        return urlencode({"after_id": value["last_id"]})
    return ""


def _no_list(reason: str) -> ProviderProtocolError:
    return ProviderProtocolError(f"the answer is not a list of models: {reason}", retryable=True)
