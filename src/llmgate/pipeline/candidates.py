"""From a route and a model's name to the deployments that can serve it.

Names are read in this order, the first that fits wins:

1. ``router/model`` or a router's bare id: that router.
2. On the unified API, a name of the operator's own (``models`` in the configuration), written exactly so.
3. ``provider/model`` with a configured provider: that provider and no other; a model no list knows passes through.
4. On a router, a bare name: each member is asked for the model it calls so, or for what the mapping gives.
5. On the unified API, a pattern of the operator's own; then the providers that list a bare name, then those whose names
   look like it, then the only provider there is.

Where commas part several names, each is read so on the same route, in order of trial; ``!provider`` leaves one out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

import attrs

from llmgate.catalogue import family, provider_row
from llmgate.formats import get_format
from llmgate.formats.sessions import session_format
from llmgate.spec import (
    Audience,
    Deployment,
    GatewayRequest,
    InvalidRequestError,
    ModelNotFoundError,
    NoDeploymentError,
    Operation,
    PermissionDeniedError,
    Principal,
    Provider,
    RoutingStrategy,
)
from llmgate.spec.model_chain import read_model_chain

from .deployments import deployment_at, deployment_of
from .snapshot import Balance, Member, Route, Snapshot

__all__ = [
    "Candidates",
    "at_provider",
    "candidates_for",
    "find_candidates",
    "find_route",
    "find_speakers",
    "is_served",
    "keepers",
    "owns",
    "permitted",
    "reached_route",
    "relay_candidates",
    "speaks",
]


LONGEST_CHAIN: Final = 16
"""Models that one request may name."""
MOST_REMEMBERED: Final = 1024
LONGEST_REMEMBERED: Final = 200
"""Names whose deployments are remembered, and how long one may be: callers choose them."""


def _kept(deployments: Sequence[Deployment]) -> Sequence[Deployment]:
    """As they are for good: requests share them."""
    return tuple(deployments)


@attrs.frozen(eq=False)
class Candidates:
    """What can serve a request, before a strategy has put it in order.

    Args:
        route: The route that was found in the end; a model's name may lead from the unified API to a router.
        deployments: In written order, without repeats.
        strategy: What puts them in order.
        addressed: Whether the caller named the provider itself.
    """

    route: Route
    deployments: Sequence[Deployment] = attrs.field(converter=_kept)
    strategy: RoutingStrategy[Any]
    addressed: bool = False
    reserved: bool = attrs.field(init=False)
    """Whether one of them is kept for some callers."""

    def __attrs_post_init__(self) -> None:
        """Find out once what requests share."""
        object.__setattr__(self, "reserved", any(one.audience is not None for one in self.deployments))


def find_route(snapshot: Snapshot, router: str | None, model: str) -> Route | None:
    """The route that a request takes: its router, the router that its model's name leads to, or the unified API.

    Returns:
        None when the router addressed is not configured.
    """
    if router is not None:
        return snapshot.routers.get(router)
    named = _router_in(snapshot, model)
    return snapshot.unified if named is None else snapshot.routers[named[0]]


def reached_route(snapshot: Snapshot, router: str | None, model: str) -> Route:
    """The route that ``find_route`` finds.

    Raises:
        ModelNotFoundError: the router addressed is not configured.
    """
    route = find_route(snapshot, router, model)
    if route is None:
        listed = ", ".join(sorted(snapshot.routers))
        remedy = (
            f"write it under routers, or use one of {listed}" if listed else "there is none, write it under routers"
        )
        raise ModelNotFoundError(f"router {router!r} is not configured: {remedy}", code="router_not_found")
    return route


def find_candidates(snapshot: Snapshot, router: str | None, model: str, operation: Operation) -> Candidates:
    """The deployments for a model's name.

    Args:
        snapshot: What is configured.
        router: The router addressed, None for the unified API.
        model: The model asked for.
        operation: What is asked for.

    Raises:
        ModelNotFoundError: nothing is called so; the message says what to write.
        NoDeploymentError: the router does not serve the operation.
    """
    key = (router, model, operation)
    found = snapshot.found.get(key)
    if found is None:
        found = _find(snapshot, router, model, operation)
        if len(model) <= LONGEST_REMEMBERED:
            if len(snapshot.found) >= MOST_REMEMBERED:
                snapshot.found.clear()
            snapshot.found[key] = found
    return found


def _find(snapshot: Snapshot, router: str | None, model: str, operation: Operation) -> Candidates:
    if router is None:
        named = _router_in(snapshot, model)
        if named is None:
            return _chained(snapshot.unified, model, operation, _on_unified)
        router, model = named
    route = reached_route(snapshot, router, model)
    return _chained(route, model, operation, _on_router)


def candidates_for(snapshot: Snapshot, request: GatewayRequest) -> Candidates:
    """The deployments for a request; where its format cannot be translated, those that speak it, if there are any.

    Raises:
        ModelNotFoundError: as ``find_candidates``.
        NoDeploymentError: as ``find_candidates``.
        InvalidRequestError: as ``keepers``.
    """
    if snapshot.aimed is not None:
        return Candidates(
            snapshot.unified, [deployment_at(snapshot.aimed, request.model)], snapshot.unified.fallback, addressed=True
        )
    found = find_candidates(snapshot, request.router, request.model, request.operation)
    if request.bound_by is not None:
        return keepers(found, request)
    if request.operation is Operation.CHAT:
        return found
    speaking = [one for one in found.deployments if _speaks_as(snapshot, one, request.format)]
    return attrs.evolve(found, deployments=speaking) if speaking else found


def _router_in(snapshot: Snapshot, model: str) -> tuple[str, str] | None:
    """The router that a model's name leads to, and the rest of the name."""
    owner, slash, rest = model.partition("/")
    if owner == "router" and slash:
        owner, slash, rest = rest.partition("/")
    elif owner in snapshot.unified.providers:
        return None
    return (owner, rest) if owner in snapshot.routers else None


def is_served(snapshot: Snapshot, request: GatewayRequest) -> bool:
    """Whether any provider of the model asked for serves the operation in the request's own format.

    Raises:
        ModelNotFoundError: nothing is called so, whatever is asked of it.
        NoDeploymentError: the router serves nothing.
    """
    try:
        found = candidates_for(snapshot, request)
    except ModelNotFoundError:
        find_candidates(snapshot, request.router, request.model, Operation.CHAT)
        return False
    return any(_speaks_as(snapshot, deployment, request.format) for deployment in found.deployments)


def _speaks_as(snapshot: Snapshot, deployment: Deployment, wire_format: str) -> bool:
    runtime = snapshot.runtimes.get(deployment.provider)
    formats = deployment.provider.row.formats if runtime is None else runtime.adapter.formats_of(deployment)
    return wire_format in formats


def relay_candidates(snapshot: Snapshot, provider_name: str, model: str, router: str | None = None) -> Candidates:
    """The one place that a relayed request can go.

    Args:
        snapshot: What is configured.
        provider_name: The provider addressed.
        model: The model that its body names, ``""`` where none can be read; a principal who is restricted by model then
            needs a right to all of the provider's.
        router: The router addressed, None for none.

    Raises:
        ModelNotFoundError: there is no such provider.
    """
    route = snapshot.unified if router is None else snapshot.routers.get(router, snapshot.unified)
    provider = (snapshot if router is None else route).providers.get(provider_name)
    if provider is None:
        raise ModelNotFoundError(f"provider {provider_name!r} is not configured", code="provider_not_found")
    return Candidates(route, [deployment_at(provider, model)], route.fallback, addressed=True)


def find_speakers(snapshot: Snapshot, router: str | None, model: str, wire_format: str) -> Sequence[Deployment]:
    """The deployments of a model whose provider speaks a wire format, for what cannot be translated; one at least.

    Raises:
        ModelNotFoundError: nothing is called so, or no provider of the model speaks the format.
    """
    candidates = find_candidates(snapshot, router, model, Operation.CHAT)
    found = [one for one in candidates.deployments if wire_format in one.provider.row.formats]
    if not found:
        raise ModelNotFoundError(
            f"no provider of model {model[:200]!r} speaks {wire_format}", param="model", code="operation_not_supported"
        )
    return found


def keepers(candidates: Candidates, request: GatewayRequest) -> Candidates:
    """For a request that refers to what an earlier one has left at its provider: only where that can be.

    Nothing is kept here of who made what, and an id does not tell. So it must be clear by itself: one provider, which
    speaks the format of the request.

    Raises:
        InvalidRequestError: there is none, or there are several; the message says what to write.
    """
    kept = [one for one in candidates.deployments if request.format in one.provider.row.formats]
    names = dict.fromkeys(one.provider_name for one in kept)
    if not names:
        raise InvalidRequestError(
            f"{request.bound_by} names what only the provider that made it has, and no provider of model "
            f"{request.model!r} speaks {request.format}: send the whole conversation instead",
            param=request.bound_by,
            code="unsupported_parameter",
        )
    if len(names) > 1:
        raise InvalidRequestError(
            f"{request.bound_by} names what one of {', '.join(names)} has: say which, as in the model "
            f"'{next(iter(names))}/…'",
            param=request.bound_by,
            code="ambiguous_provider",
        )
    return attrs.evolve(candidates, deployments=kept)


def permitted(principal: Principal, deployments: Sequence[Deployment], model: str) -> Sequence[Deployment]:
    """Those deployments whose own model the principal may call; checked on each hop, so fallback cannot widen a right.

    A name that is no deployment's own, such as one of the operator's, is denied with all that it stands for.

    Raises:
        PermissionDeniedError: none is left.
    """
    if not principal.is_restricted:
        return deployments
    kept = [one for one in deployments if principal.may_call(one.id, one.model)]
    if not kept or (principal.denied_models and _denies_name(principal, model, deployments)):
        said = model[:99]
        raise PermissionDeniedError(f"this key may not call model {said!r}", param="model", code="model_not_allowed")
    return kept


def _denies_name(principal: Principal, model: str, deployments: Sequence[Deployment]) -> bool:
    own = {name for one in deployments for name in (one.id, one.model)}
    return any(name not in own and principal.denies(name) for name in read_model_chain(model).models)


def speaks(provider: Provider, operation: Operation) -> bool:
    """Whether a provider speaks a wire format of the operation, or holds sessions of its kind."""
    session = session_format(operation)
    if session is not None:
        return session.name in provider.row.sockets
    return any(get_format(name).operation is operation for name in provider.row.formats)


def _chained(
    route: Route, model: str, operation: Operation, find: Callable[[Route, str, Operation], Candidates]
) -> Candidates:
    """The deployments for each model of a chain, one after the other, without those of providers that are left out.

    A name of the operator's own that is written exactly so is no chain, whatever it looks like.

    Raises:
        ModelNotFoundError: one of them is called by no one, or nobody is left.
    """
    chain = read_model_chain(model)
    if chain.models == (model,) or route.aliases.exactly(model):
        return find(route, model, operation)
    if len(chain.models) > LONGEST_CHAIN:
        raise ModelNotFoundError(f"{len(chain.models)} models are asked for: name at most {LONGEST_CHAIN}")
    links = [find(route, one, operation) for one in chain.models or ("",)]
    wanted: dict[str, Deployment] = {}
    for one in itertools.chain.from_iterable(link.deployments for link in links):
        if not {one.provider_name, one.provider.row.name, one.id} & chain.without:
            wanted.setdefault(one.id, one)
    if not wanted:
        raise ModelNotFoundError(
            f"model {model[:200]!r} leaves out every provider that serves it: take one of the exclusions out",
            param="model",
        )
    return Candidates(
        route,
        list(wanted.values()),
        links[0].strategy if len(links) == 1 or links[0].strategy.orders_models else route.fallback,
        addressed=all(link.addressed for link in links),
    )


def _on_unified(route: Route, model: str, operation: Operation) -> Candidates:
    if exact := route.aliases.exactly(model):
        return _on_alias(route, model, exact, operation)
    owner, slash, rest = model.partition("/")
    row = provider_row(owner) if slash else None
    named = route.providers.get(owner) or (route.providers.get(row.name) if row is not None else None)
    if slash and rest and named is not None:
        if not speaks(named, operation):
            raise ModelNotFoundError(
                f"provider {named.name!r} does not serve {operation.value}", code="operation_not_supported"
            )
        return Candidates(route, [deployment_at(named, rest)], route.fallback, addressed=True)
    if matched := route.aliases.candidates(model):
        return _on_alias(route, model, matched, operation)
    if row is not None and named is None:
        raise ModelNotFoundError(
            f"provider {owner!r} of model {model[:200]!r} is not configured: "
            + (f"set {row.key_variables[0]}" if row.key_variables else f"write {row.name} under providers"),
            param="model",
        )
    providers = _serving([one for one in route.providers.values() if speaks(one, operation)], model)
    if not providers:
        raise ModelNotFoundError(
            f"model {model[:99]!r} is not known: write provider/model with one of {', '.join(route.providers) or '-'}",
            param="model",
        )
    return Candidates(route, [deployment_at(provider, model) for provider in providers], route.fallback)


def _on_alias(route: Route, model: str, targets: Sequence[str], operation: Operation) -> Candidates:
    """What the operator has listed for a name, as far as it is configured and serves the operation."""
    found: dict[tuple[str, Audience | None], Deployment] = {}
    audiences = route.aliases.audiences(model)
    for target, audience in itertools.zip_longest(targets, audiences):
        owner, _, upstream = target.partition("/")
        row = provider_row(owner)
        provider = route.providers.get(owner) or (route.providers.get(row.name) if row is not None else None)
        if provider is not None and speaks(provider, operation):
            one = deployment_at(provider, upstream)
            found.setdefault((one.id, audience), one if audience is None else attrs.evolve(one, audience=audience))
    if not found:
        raise ModelNotFoundError(
            f"model {model[:200]!r} stands for {', '.join(targets)}, and none of these providers is configured for "
            f"{operation.value}",
            param="model",
        )
    return Candidates(route, list(found.values()), route.fallback)


def _serving(providers: Sequence[Provider], model: str) -> Sequence[Provider]:
    """The providers that a bare name belongs to: listed, else alike in name, else the only one."""
    listed = [one for one in providers if model in one.models or model in one.row.models]
    listed = listed or [one for one in providers if not one.models and model in one.row.listed]
    if listed:
        return listed
    alike = [one for one in providers if not one.models and _looks_like(one, model)]
    if alike:
        return alike
    open_to_any = [one for one in providers if not one.models and not one.row.closed]
    return open_to_any if len(providers) == 1 else []


def _looks_like(provider: Provider, model: str) -> bool:
    return any(fnmatchcase(model, pattern) for pattern in provider.row.model_patterns)


def _on_router(route: Route, model: str, operation: Operation) -> Candidates:
    balance = route.balances.get(operation) or route.balances.get(Operation.CHAT)
    if balance is None:
        raise NoDeploymentError(
            f"router {route.id!r} does not serve {operation.value}: write load-balance.chat under it"
        )
    members = [one for one in balance.members if speaks(one.provider, operation)]
    if len(members) < len(balance.members):
        balance = attrs.evolve(balance, members=members)
    if not members:
        raise ModelNotFoundError(
            f"no provider of router {route.id!r} serves {operation.value}", code="operation_not_supported"
        )
    if balance.by_model:
        return Candidates(route, _by_model(route, balance, model), balance.strategy)
    if not model:
        raise ModelNotFoundError(
            f"router {route.id!r} needs a model: write {route.id}/MODEL, or models instead of providers under it",
            param="model",
        )
    deployments = _by_provider(route, balance, model)
    if not deployments:
        raise ModelNotFoundError(
            f"no provider of router {route.id!r} serves model {model!r}: write a model-mapping for it",
            param="model",
        )
    return Candidates(route, deployments, balance.strategy)


def at_provider(snapshot: Snapshot, route: Route, provider: Provider, model: str) -> Deployment:
    """What a provider is asked for that the caller has picked: its counterpart of a model, else that very name.

    Args:
        snapshot: What is configured.
        route: The route of the request.
        provider: The provider.
        model: The model asked for, whatever stands before its own name; the first of several.
    """
    name = next(iter(read_model_chain(model).models), "")
    led = _router_in(snapshot, name)
    name = name if led is None else led[1]
    owner, slash, rest = name.partition("/")
    bare = rest if slash and (owner in route.providers or provider_row(owner) is not None) else name
    member = Member(provider)
    upstream = _upstream_model(route, member, bare, (name, bare, family(bare)), named=None, known=True)
    return deployment_at(provider, upstream or bare)


def _by_model(route: Route, balance: Balance, model: str) -> Sequence[Deployment]:
    """Entries that name models: all of them whatever was asked for, or the group that is called so."""
    everything = [deployment_of(one, model) for one in balance.members]
    if not balance.grouped:
        return everything
    bare = model.rpartition("/")[2]
    group = [one for one in everything if one.model == bare or family(one.model) == family(bare)]
    if group or not model:
        return group or everything
    names = ", ".join(sorted({one.model for one in everything}))
    raise ModelNotFoundError(f"router {route.id!r} has no model {model!r}: use one of {names}", param="model")


def _by_provider(route: Route, balance: Balance, model: str) -> Sequence[Deployment]:
    owner, slash, rest = model.partition("/")
    named = owner if slash and rest and any(one.provider.name == owner for one in balance.members) else None
    bare = rest if named else model
    known = named is not None or any(owns(one.provider, bare) for one in balance.members)
    names = (model, bare, family(bare))
    chosen: dict[tuple[str, Audience | None], Deployment] = {}
    for member in balance.members:
        upstream = _upstream_model(route, member, bare, names, named=named, known=known)
        if upstream is not None:
            deployment = deployment_of(member, upstream)
            chosen.setdefault((deployment.id, member.audience), deployment)
    return list(chosen.values())


def _upstream_model(
    route: Route, member: Member, bare: str, names: Sequence[str], *, named: str | None, known: bool
) -> str | None:
    """What to ask one member for; None when it has no counterpart of the model."""
    if member.model is not None:
        return member.model
    provider = member.provider
    if provider.name == named or owns(provider, bare):
        return bare
    mapped = route.mapping.find(names, provider.name) or route.mapping.find(names, provider.row.name)
    if mapped is not None:
        return mapped
    # A provider that serves whatever its operator has loaded (vLLM, OpenRouter), or a name that nobody owns: the
    # provider itself is the judge.
    takes_any = not provider.models and not provider.row.model_patterns
    return bare if takes_any or not known else None


def owns(provider: Provider, model: str) -> bool:
    """Whether a model's bare name is plainly one of a provider's own."""
    row = provider.row
    return model in provider.models or model in row.models or model in row.listed or _looks_like(provider, model)
