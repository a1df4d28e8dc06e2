"""What callers ask about their requests: what happened, what they add up to, and what they think of the answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.routing import Route

from llmgate.codecs.jsons import dumps
from llmgate.host.calls import Call
from llmgate.host.endpoints import Endpoint
from llmgate.host.objects import SMALL_BYTES, read_object
from llmgate.pipeline.record_desk import RecordDesk
from llmgate.pipeline.record_queries import next_cursor, record_query, usage_query
from llmgate.spec import InvalidRequestError, Operation

__all__ = [
    "FEEDBACK",
    "OPINION",
    "REQUEST",
    "REQUESTS",
    "USAGE",
    "feedback",
    "one_request",
    "opinion",
    "requests",
    "routes",
    "usage",
]

SURFACE: Final = "records"
_MOST_WORDS: Final = 200
_FEEDBACK: Final = 'an object, for example {"rating": true}'


def routes() -> Sequence[Route]:
    """The routes of this surface."""
    return [
        Route("/v1/llmgate/requests", REQUESTS, name="requests"),
        Route("/v1/llmgate/requests/{id}", REQUEST, name="one_request"),
        Route("/v1/llmgate/requests/{id}/feedback", OPINION, name="opinion"),
        Route("/v1/llmgate/usage", USAGE, name="usage"),
        Route("/v1/feedback", FEEDBACK, name="feedback"),
    ]


def _asked(call: Call) -> Mapping[str, Sequence[str]]:
    try:
        return parse_qs(call.query, keep_blank_values=True, max_num_fields=_MOST_WORDS, errors="strict")
    except ValueError:
        raise InvalidRequestError("the query of the address cannot be read") from None


async def _answer(call: Call, value: Any, status: int = 200) -> None:
    await call.reply.whole(status, call.answer_headers(), dumps(value))


async def requests(call: Call) -> None:
    """A page of records, the youngest first."""
    async with call.exchange(Operation.RECORDS, SURFACE) as exchange:
        desk = RecordDesk(exchange.snapshot, exchange.view.principal, exchange.clock)
        page = await desk.find(record_query(_asked(call), exchange.clock.now()))
    last = page.records[-1] if page.records else None
    cursor = next_cursor(last.started_at, last.id) if last is not None and page.more else None
    shown = [one.as_json() for one in page.records]
    await _answer(call, {"object": "list", "data": shown, "has_more": page.more, "next_cursor": cursor})


async def one_request(call: Call) -> None:
    """One record, with its content where that is kept, and with the feedback on it."""
    async with call.exchange(Operation.RECORDS, SURFACE) as exchange:
        desk = RecordDesk(exchange.snapshot, exchange.view.principal, exchange.clock)
        kept = await desk.read(call.params["id"])
    await _answer(call, kept.as_json())


async def usage(call: Call) -> None:
    """What records add up to."""
    async with call.exchange(Operation.RECORDS, SURFACE) as exchange:
        desk = RecordDesk(exchange.snapshot, exchange.view.principal, exchange.clock)
        query = usage_query(_asked(call), exchange.clock.now())
        report = await desk.usage(query)
    rows = [{**dict(zip(query.by, row.group, strict=True)), **row.tally.as_json()} for row in report.rows]
    await _answer(
        call,
        {
            "object": "list",
            "by": list(query.by),
            "since": _date(query.filter.since),
            "until": _date(query.filter.until),
            "zone": str(query.zone),
            "data": rows,
            "total": report.total.as_json(),
            "left_out": report.left_out,
        },
    )


def _date(moment: float | None) -> str | None:
    return None if moment is None else dt.datetime.fromtimestamp(moment, dt.UTC).isoformat()


async def feedback(call: Call) -> None:
    """Keep what the caller thinks of an exchange whose id is in the body."""
    async with call.exchange(Operation.RECORDS, SURFACE) as exchange:
        with call:
            body = await read_object(call, _FEEDBACK, most=SMALL_BYTES)
            record_id = body.pop("request_id", None)
            if not isinstance(record_id, str) or not record_id:
                raise InvalidRequestError("request_id: write the id of the request, its header helicone-id")
            desk = RecordDesk(exchange.snapshot, exchange.view.principal, exchange.clock)
            kept = await desk.judge(record_id, body)
            await _answer(call, {"request_id": record_id, "kept": kept})


async def opinion(call: Call) -> None:
    """Keep what the caller thinks of an exchange whose id is in the address."""
    async with call.exchange(Operation.RECORDS, SURFACE) as exchange:
        with call:
            body = await read_object(call, _FEEDBACK, most=SMALL_BYTES)
            desk = RecordDesk(exchange.snapshot, exchange.view.principal, exchange.clock)
            record_id = call.params["id"]
            kept = await desk.judge(record_id, body)
            await _answer(call, {"request_id": record_id, "kept": kept})


REQUESTS: Final = Endpoint(("GET", "HEAD"), requests)
REQUEST: Final = Endpoint(("GET", "HEAD"), one_request)
USAGE: Final = Endpoint(("GET", "HEAD"), usage)
FEEDBACK: Final = Endpoint(("POST",), feedback)
OPINION: Final = Endpoint(("PUT",), opinion)
