"""Where callers ask for records: everybody for his own, and who may see everybody's for all."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from llmgate.spec import (
    METRICS_SCOPE,
    READING_SCOPES,
    Clock,
    Feedback,
    GatewayError,
    InvalidRequestError,
    KeptRecord,
    Principal,
    RecordPage,
    RecordQuery,
    RecordReader,
    UsageQuery,
    UsageReport,
)

from .snapshot import Snapshot

__all__ = ["RecordDesk", "RecordNotFoundError", "find_reader", "sees_all", "sees_figures"]

_SEES_ALL: Final = ("admin", "local")
"""Kinds of principals that do."""
_LOOKS: Final = 4
"""How often a record is looked for that feedback is on: it is written a moment after the answer."""
_PAUSE: Final = 0.25
_MOST_SCORES: Final = 32
_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_LONGEST_WORD: Final = 200
_LONGEST_COMMENT: Final = 10_000
_RATING: Final = "rating"


class RecordNotFoundError(GatewayError):
    """No such record, or none that the caller may see (404)."""

    status_code = 404
    default_code = "record_not_found"


def sees_all(principal: Principal) -> bool:
    """Whether somebody may see everybody's records."""
    return principal.kind in _SEES_ALL or any(one in READING_SCOPES for one in principal.scopes or ())


def sees_figures(principal: Principal) -> bool:
    """Whether somebody may see what everybody's requests add up to."""
    return sees_all(principal) or METRICS_SCOPE in (principal.scopes or ())


def find_reader(snapshot: Snapshot) -> RecordReader | None:
    """The first logger that can be asked for records; None where there is none."""
    return next((one for _, one in snapshot.loggers if isinstance(one, RecordReader) and one.readable), None)


class RecordDesk:
    """Asks for one caller.

    Args:
        snapshot: Whose loggers are asked.
        principal: Who asks.
        clock: Which time it is.

    Raises:
        RecordNotFoundError: no logger can be asked.
    """

    def __init__(self, snapshot: Snapshot, principal: Principal, clock: Clock) -> None:
        reader = find_reader(snapshot)
        if reader is None:
            raise RecordNotFoundError(
                "no logger of this gateway can be asked for records: write `- use: sql`, or json-lines with a path, "
                "under loggers",
                code="records_not_kept",
            )
        self._reader = reader
        self._clock = clock
        self._asks = (principal.issuer, principal.id)
        self.sees_all = sees_all(principal)

    async def find(self, query: RecordQuery) -> RecordPage:
        """A page of records."""
        if not self.sees_all:
            query = attrs.evolve(query, filter=attrs.evolve(query.filter, owner=self._asks))
        return await self._reader.find_records(query)

    async def usage(self, query: UsageQuery) -> UsageReport:
        """What records add up to."""
        if not self.sees_all:
            query = attrs.evolve(query, filter=attrs.evolve(query.filter, owner=self._asks))
        return await self._reader.usage(query)

    async def read(self, record_id: str) -> KeptRecord:
        """One record, whole.

        Raises:
            RecordNotFoundError: there is none that the caller may see; whether there is another he is not told.
        """
        kept = await self._look(record_id)
        if kept is None:
            raise RecordNotFoundError(f"there is no record {record_id[:64]!r}")
        return kept

    async def _look(self, record_id: str) -> KeptRecord | None:
        if self.sees_all:
            return await self._reader.read_record(record_id)
        try:
            kept = await self._reader.read_record(record_id)
        except InvalidRequestError:
            return None
        if kept is None or kept.record.id != record_id:
            return None
        return kept if (kept.record.principal_issuer or "", kept.record.principal) == self._asks else None

    async def judge(self, record_id: str, body: Mapping[str, Any]) -> int:
        """Keep what a caller thinks of an exchange.

        Args:
            record_id: Of which; the id as it is, not a beginning of it.
            body: ``rating``, ``scores`` by their names, ``comment``.

        Returns:
            How many judgements are kept.

        Raises:
            InvalidRequestError: it says nothing, or something else.
            RecordNotFoundError: there is no such record.
        """
        scores, comment = _judgements(body)
        for look in range(_LOOKS):
            kept = await self._look(record_id)
            if kept is not None and kept.record.id == record_id:
                break
            if look + 1 == _LOOKS:
                raise RecordNotFoundError(f"there is no record {record_id[:64]!r}: its id is the header helicone-id")
            await self._clock.sleep(_PAUSE)
        now = self._clock.now()
        given = [Feedback(record_id, self._asks, now, name, value, comment) for name, value in scores.items()]
        await self._reader.keep_feedback(given)
        return len(given)


def _judgements(body: Mapping[str, Any]) -> tuple[dict[str, bool | float | str], str | None]:
    unknown = next((name for name in body if name not in (_RATING, "scores", "comment")), None)
    if unknown is not None:
        raise InvalidRequestError(
            f"{unknown[:64]!r} is not known here: use rating, scores, comment", param=unknown[:64]
        )
    scores = body.get("scores") or {}
    comment = body.get("comment")
    if not isinstance(scores, Mapping):
        raise InvalidRequestError('scores must be an object, for example {"helpful": 0.9}', param="scores")
    if comment is not None and (not isinstance(comment, str) or len(comment) > _LONGEST_COMMENT):
        raise InvalidRequestError(f"comment must be a text of {_LONGEST_COMMENT} characters at most", param="comment")
    all_scores = dict(scores)
    if body.get(_RATING) is not None:
        all_scores[_RATING] = body[_RATING]
    if not 1 <= len(all_scores) <= _MOST_SCORES:
        raise InvalidRequestError(f"write a rating, or 1 to {_MOST_SCORES} scores", param="scores")
    return {_named(name): _judgement(name, value) for name, value in all_scores.items()}, comment


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidRequestError(
            f"scores: {name[:64]!r}: a name has 1 to 100 letters, digits and . _ : -", param="scores"
        )
    return name


def _judgement(name: str, value: object) -> bool | float | str:
    fits = isinstance(value, bool) or (isinstance(value, str) and len(value) <= _LONGEST_WORD)
    if fits or (isinstance(value, int | float) and abs(value) <= 1e15 and math.isfinite(value)):
        assert isinstance(value, bool | int | float | str), "it is one of them"
        return value
    raise InvalidRequestError(
        f"{name[:64]}: write true or false, a number, or a text of {_LONGEST_WORD} characters at most", param=name[:64]
    )
