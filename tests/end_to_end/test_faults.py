"""Every fault of a provider, at every moment at which it can happen, through both doors: the documented answer.

Each cell of the matrix runs twice, with one deployment and with a healthy second one behind it, and each run asks in
process and over HTTP at the same time.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from end_to_end.faults import ROWS, Cell, cells, table
from end_to_end.loopback import MESSAGES, Loopback, loopback
from llmgate import GatewayError
from llmgate.spec import ProviderError, Record
from llmgate.testing.upstream import FakeUpstream
from llmgate.testing.upstream_faults import FAULTS, TEXT

MATRIX = list(cells())
HEALTHY = "hello wide world"
VENDOR = ("the vendor's words for", "the model is overloaded", '"Overloaded"')
GRACE = 15.0
"""Seconds beside the configured bounds that a busy machine may take."""


@attrs.frozen
class Seen:
    """What a caller got.

    Args:
        status: The status, or the one that the error stands for.
        code: The error's code, None without an error.
        text: What the model has said.
        finished: Whether it was shown as finished.
        begun: Whether content had come before the error.
        words: What the error says.
    """

    status: int
    code: str | None
    text: str
    finished: bool
    begun: bool
    words: str = ""


async def ask_in_process(gateway: Loopback, *, stream: bool) -> Seen:
    text, begun = "", False
    try:
        if not stream:
            answer = await gateway.pipeline.complete(router="main", model="m", messages=MESSAGES)
            return Seen(200, None, answer.text, finished=answer.finish_reason is not None, begun=False)
        async with gateway.pipeline.stream(router="main", model="m", messages=MESSAGES) as chunks:
            begun = True
            async for chunk in chunks:
                text += chunk.text
            return Seen(200, None, text, finished=chunks.finish_reason is not None, begun=True)
    except GatewayError as error:
        body = error.body if isinstance(error, ProviderError) else None
        words = error.message + (body or b"").decode()
        return Seen(error.http_status, error.code, text, finished=False, begun=begun, words=words)


async def ask_over_http(gateway: Loopback, *, stream: bool) -> Seen:
    reply = await gateway.post({"model": "m", "messages": MESSAGES, **({"stream": True} if stream else {})})
    assert reply.whole, "every answer of the gateway ends as HTTP wants it"
    if reply.status != 200:
        code, words = reply.error["code"], reply.body.decode()
        return Seen(reply.status, code, "", finished=b"[DONE]" in reply.body, begun=False, words=words)
    if not stream:
        (choice,) = json.loads(reply.body)["choices"]
        return Seen(200, None, choice["message"]["content"], finished=True, begun=False)
    *events, last = reply.events
    data = [event.removeprefix(b"data: ") for event in events if event.startswith(b"data: ")]
    said = [json.loads(one)["choices"] for one in data]
    text = "".join(choice["delta"].get("content") or "" for choices in said for choice in choices)
    if last == b"data: [DONE]":
        return Seen(200, None, text, finished=True, begun=True)
    assert b"[DONE]" not in reply.body
    error = json.loads(last.removeprefix(b"data: "))["error"]
    return Seen(200, error["code"], text, finished=False, begun=True, words=error["message"])


async def ask_both(gateway: Loopback, cell: Cell) -> list[Seen]:
    async with asyncio.timeout(cell.total + GRACE):
        return await asyncio.gather(
            ask_in_process(gateway, stream=cell.streamed), ask_over_http(gateway, stream=cell.streamed)
        )


def settings_of(cell: Cell, **providers: Any) -> dict[str, Any]:
    balance = {"strategy": "priority", "providers": list(providers)}
    return {
        "providers": providers,
        "routers": {"main": {"load-balance": {"chat": balance}}},
        "timeouts": {"total": f"{cell.total:g}s"},
    }


def assert_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A provider's fault is no error of the gateway: no traceback, nothing to wake anybody up for."""
    assert [line for line in caplog.records if line.exc_info or line.levelname in {"ERROR", "CRITICAL"}] == []


def assert_says_nothing_inside(seen: Seen, one: FakeUpstream) -> None:
    for inner in (f":{one.port}", "secret-of", "Traceback", ".py", "aiohttp"):
        assert inner not in seen.words


def assert_as_documented(cell: Cell, seen: Seen, *, over_http: bool) -> None:
    row = cell.row
    if row.harmless:
        assert (seen.status, seen.code, seen.text, seen.finished) == (200, None, TEXT, True)
        return
    assert not seen.finished
    assert seen.begun is cell.begun
    if cell.begun:
        assert TEXT.startswith(seen.text)
        assert seen.text
    else:
        assert seen.text == ""
    shown = (200 if cell.begun else row.shown or row.status) if over_http else row.status
    assert seen.status == shown
    if row.code is None:
        assert any(words in seen.words for words in VENDOR)
    else:
        assert seen.code == row.code


def assert_recorded(cell: Cell, record: Record) -> None:
    row = cell.row
    (attempt,) = record.attempts
    assert attempt.duration is not None
    if row.harmless:
        assert (record.outcome, record.status, attempt.error_code) == ("ok", 200, None)
        return
    assert record.outcome == ("incomplete" if cell.begun else "error")
    assert record.status == row.status
    assert record.error_code == attempt.error_code
    if row.code is not None:
        assert record.error_code == row.code


@pytest.mark.parametrize("cell", MATRIX, ids=str)
async def test_alone_it_is_answered_as_documented(cell: Cell, caplog: pytest.LogCaptureFixture) -> None:
    async with FakeUpstream() as one:
        settings = settings_of(cell, one=await cell.befall(one, times=2))
        async with loopback(settings) as gateway:
            in_process, over_http = await ask_both(gateway, cell)
            await one.idle(timeout=1 + GRACE)
            records = await gateway.recorded(2)
        assert_as_documented(cell, in_process, over_http=False)
        assert_as_documented(cell, over_http, over_http=True)
        assert_says_nothing_inside(in_process, one)
        assert_says_nothing_inside(over_http, one)
        assert sorted(record.surface for record in records) == ["in-process", "openai"]
        for record in records:
            assert_recorded(cell, record)
        assert one.open_connections == 0
    assert_quiet(caplog)


@pytest.mark.parametrize("cell", [cell for cell in MATRIX if not cell.row.harmless], ids=str)
async def test_with_a_healthy_second_it_is_not_noticed_or_ends_the_stream(
    cell: Cell, caplog: pytest.LogCaptureFixture
) -> None:
    async with FakeUpstream() as one, FakeUpstream() as two:
        settings = settings_of(cell, one=await cell.befall(one, times=2), two={"base-url": two.base_url})
        async with loopback(settings) as gateway:
            both = await ask_both(gateway, cell)
            await one.idle(timeout=1 + GRACE)
            records = await gateway.recorded(2)
        saved = cell.row.fails_over and not cell.begun
        for seen, over_http in zip(both, (False, True), strict=True):
            if saved:
                assert (seen.status, seen.code, seen.text, seen.finished) == (200, None, HEALTHY, True)
            else:
                assert_as_documented(cell, seen, over_http=over_http)
        assert len(two.requests) == (2 if saved else 0)
        for record in records:
            if saved:
                assert (record.outcome, record.provider_name) == ("ok", "two")
                assert [bool(attempt.error_code) for attempt in record.attempts] == [True, False]
            else:
                assert_recorded(cell, record)
        for request in two.requests:
            assert request.headers["authorization"] == "Bearer secret-of-two"
    assert_quiet(caplog)


def test_every_fault_has_one_row_for_every_moment() -> None:
    seen = [(cell.row.fault, cell.phase, cell.streamed) for cell in MATRIX]
    possible = {(fault.name, phase, False) for fault in FAULTS.values() for phase in fault.whole}
    possible |= {(fault.name, phase, True) for fault in FAULTS.values() for phase in fault.stream}
    assert len(seen) == len(set(seen))
    assert possible <= set(seen)
    assert len({row.fault for row in ROWS}) >= 24


def test_the_documentation_shows_this_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "explanation" / "errors_and_failover.md"
    assert table() in page.read_text(encoding="utf-8"), f"the table is now:\n{table()}"
