"""The book of domains: a file that only grows, one line of JSON for each thing that was asked or decided.

What holds for a domain is what its lines come to, so the file is store and audit in one. Whoever keeps domains in
another place needs the two methods of ``DomainBook``.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

import attrs

from llmgate.codecs.jsons import JSONError, loads
from llmgate.spec import ConfigError

__all__ = ["Action", "DomainBook", "DomainEvent", "Standing", "standings"]

Action: TypeAlias = Literal["requested", "verified", "approved", "denied"]

_ACTIONS: Final = frozenset(get_args(Action))
_LONGEST: Final = 64 * 1024 * 1024
"""Bytes of a book; one that is longer was not written here."""
_CUT: Final = b" (cut off here)"
"""Written behind a line that a crash has cut off, so that nobody takes it for one that was tampered with."""


@attrs.frozen
class DomainEvent:
    """One line of the book.

    Args:
        at: When it happened: ISO 8601, UTC.
        domain: The domain, lower case.
        action: What happened.
        by: Who did it, as far as the machine knows.
        note: In the operator's words: whose the domain is, why it was decided so.
        token: For ``requested``, what the owner is to publish.
        proof: For ``verified``, what was found published.
    """

    at: str
    domain: str
    action: Action
    by: str = ""
    note: str = ""
    token: str = ""
    proof: str = ""


@attrs.frozen
class Standing:
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
    action: Action
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


def standings(events: Iterable[DomainEvent]) -> Mapping[str, Standing]:
    """What the events come to, by domain, in the order in which domains came up.

    A decision stands until the next one: who asks again, or proves ownership again, changes nothing about it.
    """
    found: dict[str, Standing] = {}
    for event in events:
        known = found.get(event.domain)
        token = event.token or (known.token if known is not None else "")
        proven = event.at if event.action == "verified" else (known.proven if known is not None else "")
        decided = known is not None and known.action in {"approved", "denied"}
        if known is not None and decided and event.action in {"requested", "verified"}:
            found[event.domain] = attrs.evolve(known, token=token, proven=proven)
            continue
        note = event.note or (known.note if known is not None else "")
        found[event.domain] = Standing(event.domain, event.action, event.at, event.by, token, proven, note)
    return found


class DomainBook:
    """The book as a file.

    Args:
        path: The file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Sequence[DomainEvent]:
        """Every event, oldest first; none where there is no file.

        Raises:
            ConfigError: the file cannot be read, or a line of it is no event.
        """
        try:
            if self.path.stat().st_size > _LONGEST:
                raise ConfigError(f"{self.path}: longer than {_LONGEST} bytes: it is no book of domains")
            data = self.path.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as failure:
            raise ConfigError(f"{self.path}: cannot be read: {failure.strerror}") from None
        whole, _, torn = data.rpartition(b"\n")
        lines = [*whole.split(b"\n"), torn]
        return [event for number, line in enumerate(lines, 1) if (event := self._event(line, number, len(lines)))]

    def append(self, event: DomainEvent) -> None:
        """Write an event at the end, whole and on the disk before this returns.

        Raises:
            ConfigError: the file cannot be written.
        """
        line = json.dumps({name: value for name, value in attrs.asdict(event).items() if value}).encode() + b"\n"
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as failure:
            raise ConfigError(f"{self.path}: cannot be written: {failure.strerror}") from None
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # closing gives it back
            size = file.seek(0, os.SEEK_END)
            if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
                line = _CUT + b"\n" + line
            file.write(line)
            os.fsync(file.fileno())

    def _event(self, line: bytes, number: int, last: int) -> DomainEvent | None:
        if not line.strip() or line.endswith(_CUT):
            return None
        try:
            value = loads(line)
            event = DomainEvent(**value)
            if not all(isinstance(one, str) for one in attrs.astuple(event)) or event.action not in _ACTIONS:
                raise TypeError
        except (JSONError, TypeError):
            if number == last:
                return None  # cut off by a crash
            raise ConfigError(f"{self.path}:{number}: this line is no event of a book of domains") from None
        return event
