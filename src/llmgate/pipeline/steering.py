"""Where a request goes whose caller has a say in it: one provider, or a list of places of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

import attrs

from llmgate.catalogue import provider_for_domain, provider_row
from llmgate.spec import GatewayError, GatewayRequest, InvalidRequestError, ModelNotFoundError, Provider
from llmgate.spec.model_chain import read_model_chain

from .attempt import Try
from .candidates import Candidates, at_provider, candidates_for, find_candidates, reached_route, speaks
from .fallbacks import Fallback
from .ranking import rank
from .shortening import shortened
from .snapshot import Route, Snapshot
from .walk import Walk
from .wishes import Wishes

if TYPE_CHECKING:
    from .frame import ExchangeFrame

__all__ = ["through_fallbacks", "wished_candidates"]

T = TypeVar("T")

INDEX: Final = "helicone-fallback-index"
"""The response header that says which entry of the caller's list has answered, from 0."""


def wished_candidates(snapshot: Snapshot, request: GatewayRequest, wishes: Wishes) -> Candidates:
    """The deployments for a request; of one provider only where the caller forces one.

    That one is asked for what routing would ask it for, else for the model by its own name.

    Args:
        snapshot: What is configured.
        request: What is asked.
        wishes: What the caller asks of routing; the provider as configured, or as the catalogue calls it.

    Raises:
        InvalidRequestError: the path names another provider, or the model leaves this one out.
        ModelNotFoundError: it is not configured, or does not serve the operation.
    """
    name = wishes.provider
    if name is None or name == request.provider:
        return candidates_for(snapshot, request)
    if request.provider is not None:
        raise InvalidRequestError(
            f"helicone-forced-routing names {name[:100]!r} where the path names {request.provider!r}: use /v1",
            code="invalid_routing_header",
        )
    route = reached_route(snapshot, request.router, request.model)
    row = provider_row(name)
    provider = route.providers.get(name) or (route.providers.get(row.name) if row is not None else None)
    if provider is None or not speaks(provider, request.operation):
        raise ModelNotFoundError(
            f"helicone-forced-routing names provider {name[:100]!r}, which is not configured for "
            f"{request.operation.value}: name one of {', '.join(route.providers) or 'none'}",
            code="provider_not_found",
        )
    if _leaves_out(route, provider, request.model):
        raise InvalidRequestError(
            f"helicone-forced-routing names {name[:100]!r}, which model {request.model[:200]!r} leaves out: take one "
            "of the two away",
            code="invalid_routing_header",
        )
    try:
        found = candidates_for(snapshot, request)
    except ModelNotFoundError:
        found = Candidates(route, [], route.fallback)
    kept = [one for one in found.deployments if one.provider_name == provider.name]
    return attrs.evolve(
        found, deployments=kept or [at_provider(snapshot, route, provider, request.model)], addressed=True
    )


async def through_fallbacks(
    frame: ExchangeFrame,
    request: GatewayRequest,
    run: Callable[[Try], Awaitable[T]],
    wishes: Wishes,
) -> T:
    """Try the places of a caller's own list in order, each as its entry says.

    Args:
        frame: The exchange.
        request: What is asked.
        run: Makes one try.
        wishes: The list, and what else the caller asks.

    Raises:
        InvalidRequestError: the list leads to no configured provider, or the request goes to one as it is.
        GatewayError: what the last place failed with, or one after whose error nothing else is to be tried.
    """
    fallbacks = wishes.fallbacks
    if request.relay is not None or request.provider is not None:
        raise InvalidRequestError(
            "helicone-fallbacks cannot be followed where the path names the provider: use /v1",
            code="invalid_routing_header",
        )
    if frame.caller_key is not None:
        raise InvalidRequestError(
            "helicone-fallbacks cannot be followed with a key of your own, which is for one provider only",
            code="invalid_routing_header",
        )
    places = [_place(frame.snapshot, request, one, position) for position, one in enumerate(fallbacks)]
    places[0].route.budget.request(frame.clock.monotonic())
    for position, (one, candidates) in enumerate(zip(fallbacks, places, strict=True)):
        try:
            fitting = shortened(frame, request, candidates.deployments, wishes.too_long)
            walk = Walk(frame, fitting, candidates)
            answer = await walk.through(await rank(frame, candidates, fitting, wishes), run)
            if answer is None:
                raise walk.verdict()
        except GatewayError as error:
            last = position == len(places) - 1
            if last or frame.exchange.disconnected or not one.goes_on(error):
                raise
        else:
            return answer
        finally:
            frame.exchange.notes("llmgate").setdefault("headers", {})[INDEX] = str(position)
    raise AssertionError("the last place answers or raises")  # pragma: no cover


def _place(snapshot: Snapshot, request: GatewayRequest, fallback: Fallback, position: int) -> Candidates:
    """What an entry of the list stands for.

    Raises:
        InvalidRequestError: no configured provider is at its address, or the model leaves that one out.
        ModelNotFoundError: nothing is called as its model.
    """
    if not fallback.host:
        return find_candidates(snapshot, request.router, fallback.model, request.operation)
    route = reached_route(snapshot, request.router, request.model)
    provider = _provider_at(route, fallback.host)
    if provider is None or not speaks(provider, request.operation):
        raise InvalidRequestError(
            f"helicone-fallbacks: entry {position} leads to {fallback.host[:100]!r}, and no configured provider is "
            f"there that serves {request.operation.value}",
            code="invalid_routing_header",
        )
    model = fallback.model or request.model
    if _leaves_out(route, provider, model):
        raise InvalidRequestError(
            f"helicone-fallbacks: entry {position} leads to {fallback.host[:100]!r}, which model {model[:200]!r} "
            "leaves out: take one of the two away",
            code="invalid_routing_header",
        )
    deployment = at_provider(snapshot, route, provider, model)
    return Candidates(route, [deployment], route.fallback, addressed=True)


def _leaves_out(route: Route, provider: Provider, model: str) -> bool:
    """Whether a model's name leaves a provider out, by ``!provider``, or the model there, by ``!provider/model``."""
    chain, names = read_model_chain(model), {provider.name, provider.row.name}
    asked = {one for model in chain.models for one in (model, model.partition("/")[2])}
    names |= {f"{name}/{one}" for name in names for one in asked}
    return not chain.without.isdisjoint(names) and not route.aliases.exactly(model)


def _provider_at(route: Route, host: str) -> Provider | None:
    """The provider that is asked at a host, else the one that a vendor's host stands for."""
    for one in route.providers.values():
        if _host_of(one) == host:
            return one
    row = provider_for_domain(host)
    return next((one for one in route.providers.values() if row is not None and one.row.name == row.name), None)


def _host_of(provider: Provider) -> str:
    parts = urlsplit(provider.base_url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.hostname or "" if parts.port in {None, usual} else f"{parts.hostname}:{parts.port}"
