"""``Helicone-Fallbacks``: a caller's own list of where its request is to be tried, and after which statuses.

A JSON list of ``{"target-url", "onCodes", "bodyKeyOverride", "headers"}`` (Helicone documentation, "Gateway
Fallbacks"). The entries are tried in order, the first one included; the next is tried where the status is among
``onCodes``: numbers or ``{"from", "to"}``. Addresses are those of configured providers: a caller chooses among them and
adds none. Of the body the model may be another and nothing else, since interceptors have judged the rest. ``headers``
say nothing: credentials are the gateway's.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

import attrs

from llmgate.codecs import jsons
from llmgate.spec import GatewayError, InvalidRequestError, NoDeploymentError, ProviderError

__all__ = ["Fallback", "read_fallbacks"]

_MOST: Final = 16
_HOW: Final = (
    'write a JSON list such as [{"target-url": "https://api.openai.com", "onCodes": [429, {"from": 500, "to": 599}], '
    '"bodyKeyOverride": {"model": "gpt-4o"}}]'
)
_KEYS: Final = frozenset({"target-url", "model", "onCodes", "bodyKeyOverride", "headers"})


@attrs.frozen
class Fallback:
    """One place where a request is to be tried.

    Args:
        host: ``host[:port]`` of the provider; ``""`` where ``model`` names it.
        model: The model as ``provider/model``; ``""`` for the request's own.
        codes: Ranges of statuses, ends included, after which the next place is tried.
    """

    host: str
    model: str = ""
    codes: tuple[tuple[int, int], ...] = ()

    def goes_on(self, error: GatewayError) -> bool:
        """Whether the next place is tried after an error; always where this one did not answer at all."""
        if not isinstance(error, ProviderError):
            return isinstance(error, NoDeploymentError)
        status = error.upstream_status
        if status is None:
            return error.retryable
        return any(first <= status <= last for first, last in self.codes)


def read_fallbacks(text: str) -> tuple[Fallback, ...]:
    """The places in the header's value.

    Raises:
        InvalidRequestError: it is not such a list.
    """
    try:
        value = jsons.loads(text.encode("utf-8", "surrogatepass"))
    except jsons.JSONError as error:
        _refuse(f"is no JSON ({error})")
    if not isinstance(value, list) or not value:
        _refuse("is no list with at least one entry")
    if len(value) > _MOST:
        _refuse(f"has {len(value)} entries, at most {_MOST} are tried")
    return tuple(_entry(one, f"entry {place}") for place, one in enumerate(value))


def _entry(value: Any, what: str) -> Fallback:
    if not isinstance(value, dict):
        _refuse(f"{what} is no object")
    unknown = sorted(value.keys() - _KEYS)
    if unknown:
        _refuse(f"{what} has an unknown key {unknown[0][:40]!r}")
    target, model = value.get("target-url", ""), value.get("model", "")
    if not isinstance(target, str) or not isinstance(model, str) or bool(target) == bool(model):
        _refuse(f"{what} needs either a target-url or a model")
    overrides = value.get("bodyKeyOverride") or {}
    named = overrides.get("model", "") if isinstance(overrides, dict) else None
    if not isinstance(named, str) or not overrides.keys() <= {"model"}:
        _refuse(f"{what} overrides something else than the model by a text, and nothing else can be overridden")
    if named and model:
        _refuse(f"{what} names its model twice")
    return Fallback(_host(target, what) if target else "", model or named, _codes(value.get("onCodes"), what))


def _host(target: str, what: str) -> str:
    try:
        parts = urlsplit(target)
        port = parts.port
    except ValueError:
        _refuse(f"{what} has a target-url that is none")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        _refuse(f"{what} has a target-url that is none")
    usual = {"http": 80, "https": 443}[parts.scheme]
    return parts.hostname if port in {None, usual} else f"{parts.hostname}:{port}"


def _codes(value: Any, what: str) -> tuple[tuple[int, int], ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        _refuse(f"{what} has onCodes that are no list")
    return tuple(_range(one, what) for one in value)


def _range(value: Any, what: str) -> tuple[int, int]:
    ends: list[Any] = [value.get("from"), value.get("to")] if isinstance(value, dict) else [value, value]
    if (
        not all(isinstance(one, int) and not isinstance(one, bool) for one in ends)
        or not 100 <= ends[0] <= ends[1] <= 599
    ):
        _refuse(f"{what} has onCodes that are neither statuses nor {{from, to}}")
    return ends[0], ends[1]


def _refuse(why: str) -> NoReturn:
    raise InvalidRequestError(f"helicone-fallbacks {why}: {_HOW}", code="invalid_routing_header")
