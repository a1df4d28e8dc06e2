"""What a logger offers that can be asked for what it has kept: lists, single records, usage, and feedback on them."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from .errors import InvalidRequestError
from .records import Record
from .stage import StageContext
from .tallies import Tally

__all__ = [
    "NO_FEEDBACK",
    "CostFiller",
    "Feedback",
    "KeptRecord",
    "RecordFilter",
    "RecordPage",
    "RecordQuery",
    "RecordReader",
    "UsageQuery",
    "UsageReport",
    "UsageRow",
]

NO_FEEDBACK: Final = "no logger of this gateway keeps feedback: write `- use: sql` under loggers"


@attrs.frozen
class RecordFilter:
    """Which records are meant; what is None or empty excludes none.

    Args:
        since: Those that began at this moment or later, in seconds since the epoch.
        until: Those that began before it.
        equal: Dimensions of ``DIMENSIONS``, or ``property:NAME``, and the value that a record has there.
        owner: Those of one principal: its issuer and its id.
        surface: Those that came through this door.
        status: Those answered with this HTTP status, or one of a class: ``4`` for 400 to 499.
        error_code: Those that failed with this stable word.
        session_id: Those of a session.
        prompt_id: Those that used a prompt.
        cache: Those of which a cache said this.
        slower_than: Those that took this many seconds or more.
        text: Those in which this text stands anywhere, content left out; upper and lower case alike.
        housekeeping: Whether those are meant too that ask the gateway about itself.
    """

    since: float | None = None
    until: float | None = None
    equal: Mapping[str, str] = attrs.field(factory=dict)
    owner: tuple[str, str] | None = None
    surface: str | None = None
    status: int | None = None
    error_code: str | None = None
    session_id: str | None = None
    prompt_id: str | None = None
    cache: str | None = None
    slower_than: float | None = None
    text: str | None = None
    housekeeping: bool = False

    @property
    def only_equal(self) -> bool:
        """Whether nothing but ``since``, ``until`` and ``equal`` excludes anything."""
        plain = RecordFilter(since=self.since, until=self.until, equal=self.equal)
        return self == plain


@attrs.frozen
class RecordQuery:
    """A page of records, the youngest first.

    Args:
        filter: Which.
        limit: How many at most.
        before: The moment and the id of the record behind which the page begins; None for the first page.
    """

    filter: RecordFilter = RecordFilter()
    limit: int = 100
    before: tuple[float, str] | None = None


@attrs.frozen
class RecordPage:
    """Some records, the youngest first; ``more`` says whether there are others behind the last."""

    records: Sequence[Record]
    more: bool


@attrs.frozen
class Feedback:
    """What somebody thinks of an exchange.

    Args:
        record_id: Of which.
        given_by: Who: issuer and id of the principal.
        given_at: When, in seconds since the epoch.
        name: What is judged: ``rating``, or the name of a score.
        value: The judgement: a number, yes or no, or a word.
        comment: Why.
    """

    record_id: str
    given_by: tuple[str, str]
    given_at: float
    name: str
    value: bool | float | str
    comment: str | None = None


@attrs.frozen
class KeptRecord:
    """A record with what has been said of it since."""

    record: Record
    feedback: Sequence[Feedback] = ()

    def as_json(self) -> dict[str, Any]:
        """Both as plain JSON values."""
        said = [
            {
                "name": one.name,
                "value": one.value,
                "comment": one.comment,
                "given_by": one.given_by[1],
                "given_at": one.given_at,
            }
            for one in self.feedback
        ]
        return {**self.record.as_json(), "feedback": said}


@attrs.frozen
class UsageQuery:
    """What records add up to, by groups.

    Args:
        by: Dimensions of ``DIMENSIONS``, ``property:NAME``, and at most one of ``PERIODS``; empty for all together.
        filter: Which records.
        zone: By whose clocks hours, days and months begin.
        limit: How many groups at most: the dearest, or with a period among ``by`` the latest.
    """

    by: Sequence[str] = ()
    filter: RecordFilter = RecordFilter()
    zone: dt.tzinfo = dt.UTC
    limit: int = 1000


@attrs.frozen
class UsageRow:
    """One group: its value in each of the query's ``by``, None for records without one, and what it adds up to."""

    group: Sequence[str | None]
    tally: Tally


@attrs.frozen
class UsageReport:
    """What records add up to.

    Args:
        rows: The groups: by time, then the dearest first.
        total: All together, those that are left out of ``rows`` included.
        left_out: How many groups are.
    """

    rows: Sequence[UsageRow]
    total: Tally
    left_out: int = 0


class CostFiller(ABC):  # noqa: B024 - those that fill none say so
    """What a class of loggers derives from, beside ``Logger``, whose records may get their cost later."""

    fills_costs: bool = False
    """Whether costs that become known later are written anew here."""

    async def fill_costs(self, reckon: Callable[[Record], Record | None]) -> int:
        """Write anew the records whose cost was unknown for want of a price, and what they add up to.

        Each is written once, however many processes do so at once.

        Args:
            reckon: Gives a record with what it cost, None where nothing more is known of that.

        Returns:
            How many records have a cost now.
        """
        del reckon
        return 0


class RecordReader(CostFiller):
    """What a class of loggers derives from, beside ``Logger``, whose instances can be asked for what they have kept.

    The pipeline asks the first such logger of the configuration, once it is open; commands open one with
    ``open_to_read``, beside gateways that write to the same place.
    """

    @property
    def readable(self) -> bool:
        """Whether this one, as it is configured, keeps records where they can be read."""
        return True

    async def open_to_read(self, context: StageContext) -> None:
        """Get ready to be asked, and for nothing else; ``aclose`` ends it like ``open``."""
        raise NotImplementedError

    @abstractmethod
    async def find_records(self, query: RecordQuery) -> RecordPage:
        """A page of records, without their content."""

    @abstractmethod
    async def read_record(self, record_id: str) -> KeptRecord | None:
        """One record, whole.

        Args:
            record_id: Its id, or a beginning of it that no other record's id has.

        Returns:
            None where there is none.

        Raises:
            InvalidRequestError: several ids begin so.
        """

    @abstractmethod
    async def usage(self, query: UsageQuery) -> UsageReport:
        """What records add up to."""

    async def keep_feedback(self, feedback: Sequence[Feedback]) -> None:
        """Keep what is thought of an exchange; the same name of the same giver replaces what was said before.

        Raises:
            InvalidRequestError: this logger keeps none.
        """
        del feedback
        raise InvalidRequestError(NO_FEEDBACK, code="no_feedback")
