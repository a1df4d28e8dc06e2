"""Which provider has what no model tells: files and batches, and answers of which only the id is known.

Nothing is kept here of who made what, and an id does not tell. So it must be clear by itself, or the caller says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from llmgate.catalogue import provider_row
from llmgate.spec import InvalidRequestError, ModelNotFoundError, Operation, Provider

from .snapshot import Snapshot

__all__ = ["find_holder", "find_keeper"]


def find_holder(
    snapshot: Snapshot, router: str | None, named: str | None, operation: Operation, family: str = "openai"
) -> Provider:
    """The provider whose files and batches are meant.

    Args:
        snapshot: What is configured.
        router: The router addressed, None for the unified API.
        named: The provider that the caller names, None for none.
        operation: What is asked for.
        family: Whose files and batches they are: ``openai`` or ``anthropic``.

    Raises:
        ModelNotFoundError: there is no such router or provider, or none has files.
        InvalidRequestError: several have, and none is named.
    """
    what = operation.value if family == "openai" else f"{operation.value} of {family}'s"
    hint = "say which in the header llmgate-provider, or with ?provider={}"
    return _the_one(_members(snapshot, router), named, lambda one: one.row.files == family, what, hint)


def find_keeper(snapshot: Snapshot, router: str | None, named: str | None, wire_format: str) -> Provider:
    """The provider that has kept an answer, of which only the id is known: the one that speaks its format.

    Args:
        snapshot: What is configured.
        router: The router addressed, None for the unified API.
        named: The provider that the caller names, None where he names none.
        wire_format: The format of the answer.

    Raises:
        ModelNotFoundError: there is no such router or provider, or none that speaks the format.
        InvalidRequestError: there are several; the message says what to write.
    """
    what = f"answers in {wire_format}"
    hint = "say which with ?provider={0}, or use the base URL /{0}/v1"
    return _the_one(_members(snapshot, router), named, lambda one: wire_format in one.row.formats, what, hint)


def _members(snapshot: Snapshot, router: str | None) -> Iterable[Provider]:
    if router is None:
        return snapshot.unified.providers.values()
    route = snapshot.routers.get(router)
    if route is None:
        raise ModelNotFoundError(f"router {router!r} is not configured", code="router_not_found")
    return [one.provider for balance in route.balances.values() for one in balance.members]


def _the_one(
    members: Iterable[Provider], named: str | None, has: Callable[[Provider], bool], what: str, hint: str
) -> Provider:
    holders = {one.name: one for one in members if has(one)}
    if named is not None:
        row = provider_row(named)
        holder = holders.get(named) or (holders.get(row.name) if row is not None else None)
        if holder is None:
            raise ModelNotFoundError(
                f"provider {named[:100]!r} is not configured here, or has no {what}: name one of "
                f"{', '.join(holders) or 'none'}",
                code="provider_not_found",
            )
        return holder
    if not holders:
        raise ModelNotFoundError(f"no provider here has {what}", code="operation_not_supported")
    if len(holders) > 1:
        raise InvalidRequestError(
            f"several providers have {what}, {', '.join(holders)}: {hint.format(next(iter(holders)))}",
            code="ambiguous_provider",
        )
    return next(iter(holders.values()))
