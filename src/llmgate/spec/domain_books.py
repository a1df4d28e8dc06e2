"""What every book of domains does: keeps what was asked and decided of the domains that callers may name."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import attrs

from .stage import Stage

__all__ = ["DomainAction", "DomainBook", "DomainEvent", "DomainStanding", "standings"]

DomainAction: TypeAlias = Literal["requested", "verified", "approved", "denied"]

_ACTIONS = frozenset(get_args(DomainAction))


def _a_word(_: object, field: attrs.Attribute[str], value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{field.name}: {type(value).__name__} is no text")


def _an_action(_: object, field: attrs.Attribute[str], value: Any) -> None:
    if value not in _ACTIONS:
        raise ValueError(f"{field.name}: {value!r} is not one of {', '.join(sorted(_ACTIONS))}")


@attrs.frozen
class DomainEvent:
    """One thing that was asked or decided.

    Args:
        at: When it happened: ISO 8601, UTC.
        domain: The domain, lower case.
        action: What happened.
        by: Who did it, as far as the machine knows.
        note: In the operator's words: whose the domain is, why it was decided so.
        token: For ``requested``, what the owner is to publish.
        proof: For ``verified``, what was found published.
    """

    at: str = attrs.field(validator=_a_word)
    domain: str = attrs.field(validator=_a_word)
    action: DomainAction = attrs.field(validator=[_a_word, _an_action])
    by: str = attrs.field(default="", validator=_a_word)
    note: str = attrs.field(default="", validator=_a_word)
    token: str = attrs.field(default="", validator=_a_word)
    proof: str = attrs.field(default="", validator=_a_word)


@attrs.frozen
class DomainStanding:
    """What holds for a domain now.

    Args:
        domain: The domain.
        action: The last thing that happened.
        since: When that was.
        by: Who did it.
        token: What the owner is to publish; ``""`` where nobody has asked.
        proven: When ownership was proven; ``""`` for never.
        note: The last note.
    """

    domain: str
    action: DomainAction
    since: str
    by: str = ""
    token: str = ""
    proven: str = ""
    note: str = ""

    @property
    def approved(self) -> bool:
        """Whether requests may go there freely."""
        return self.action == "approved"

    @property
    def denied(self) -> bool:
        """Whether no request may go there."""
        return self.action == "denied"


def standings(events: Iterable[DomainEvent]) -> Mapping[str, DomainStanding]:
    """What the events come to, by domain, in the order in which domains came up.

    A decision stands until the next one: who asks again, or proves ownership again, changes nothing about it.
    """
    found: dict[str, DomainStanding] = {}
    for event in events:
        known = found.get(event.domain)
        token = event.token or (known.token if known is not None else "")
        proven = event.at if event.action == "verified" else (known.proven if known is not None else "")
        decided = known is not None and known.action in {"approved", "denied"}
        if known is not None and decided and event.action in {"requested", "verified"}:
            found[event.domain] = attrs.evolve(known, token=token, proven=proven)
            continue
        note = event.note or (known.note if known is not None else "")
        found[event.domain] = DomainStanding(event.domain, event.action, event.at, event.by, token, proven, note)
    return found


ConfigT = TypeVar("ConfigT")


class DomainBook(Stage[ConfigT]):
    """Keeps what was asked and decided of domains: only ever added to, so that it is the audit as well.

    The gateway reads it when it starts and whenever its revision is another; ``llmgate domains`` adds to it, beside
    gateways that are running. What was read last holds while it cannot be read.
    """

    @abstractmethod
    async def revision(self) -> object:
        """Something that is another (by ``==``) once anything was added. Asked for twice a second: it must be cheap.

        Raises:
            GatewayError: nobody can say now.
        """

    @abstractmethod
    async def read(self) -> Sequence[DomainEvent]:
        """Every event, in the order in which they were added.

        Raises:
            GatewayError: the book cannot be read now, or what is there is no book.
        """

    @abstractmethod
    async def append(self, event: DomainEvent) -> None:
        """Add an event behind the others; when this returns it is kept, whole, whatever happens to the process.

        Raises:
            GatewayError: it cannot be kept.
        """
