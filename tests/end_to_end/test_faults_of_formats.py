"""The faults of ``test_faults`` in every other wire format, as providers of it make them and clients of it see them.

All faults of a format at all their moments are met at once by one gateway, each by a provider of its own: alone, and
again with a healthy provider behind it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs
import pytest

from end_to_end.dialects.dialect import Dialect, Said, Wish
from end_to_end.dialects.table import DIALECTS
from end_to_end.faults import LAST, MIDDLE, Cell, cells
from end_to_end.loopback import Loopback, Reply, loopback
from llmgate.spec import Record
from llmgate.testing.upstream import FakeUpstream
from llmgate.testing.upstream_faults import OVERLOADED, Speech

CHAT, *OTHERS = DIALECTS
PAIRS = [*((one, one) for one in OTHERS), *itertools.pairwise([CHAT, *OTHERS, CHAT])]
"""Who asks and who answers: each format of itself, which is relayed, and each of the next one, which is translated."""

SAID = Said(text="Alpha beta gamma delta epsilon zeta")
UNMARKED = ("gemini-generate-content",)

GRACE = 20.0
"""Seconds beside the bounds of a request that a busy machine may take for all of them at once."""


SHORT = 2.0
"""Seconds of the shortest deadline: on a busy machine it takes as long to begin with all of them."""


def speech_of(provider: Dialect) -> Speech:
    """What a provider of a format says, whole and in frames."""
    frames = provider.events(SAID)
    opening = next(index for index, frame in enumerate(frames) if b"Alpha" in frame)
    torn = frames[opening][: len(frames[opening]) // 2]
    idle = {"text/event-stream": b": still here\n\n", "application/x-ndjson": b"\n"}.get(provider.media_type, b"")
    return Speech(
        whole=provider.whole(SAID),
        frames=frames,
        opening=opening,
        ending=provider.ending,
        error=lambda status, message: provider.fault(_known(status), message).body,
        error_frame=provider.event_fault(OVERLOADED),
        media_type=provider.media_type,
        idle_frame=idle,
        torn_frame=torn + (b"\n\n" if frames[0].endswith(b"\n\n") else b"\n" if idle else b""),
        headers=provider.head,
        usual=provider.media_type == "application/x-ndjson",
    )


def _known(status: int) -> int:
    """A status that every dialect has an error for: only the words of it are compared."""
    return 429 if status == 429 else 400 if status < 500 else 503


def cells_of(provider: Dialect, *, stream: bool) -> list[Cell]:
    """Every cell that there is in the format of the provider."""

    def exists(cell: Cell) -> bool:
        fault = cell.row.fault
        if fault == "named-error-event":  # what other formats send to clients of OpenAI's
            return False
        if stream and provider.media_type == "application/vnd.amazon.eventstream" and fault == "endless":
            return cell.row.wait == "first-byte"  # it has no sign of life
        # A whole answer in lines of JSON is a stream of one line.
        return not (fault == "other-kind" and provider.media_type == "application/x-ndjson")

    return [cell for cell in cells() if cell.streamed is stream and exists(cell)]


def is_harmless(cell: Cell, provider: Dialect) -> bool:
    """Whether a client alone with it has its answer all the same."""
    # Where nothing marks the end, counts or another part may follow the reason, and so a broken end is one.
    return cell.row.harmless and not (cell.row.fault == "long-length" and provider.name in UNMARKED)


@attrs.frozen
class Met:
    """One cell, whom it befalls, and what the client has got."""

    cell: Cell
    name: str
    upstream: FakeUpstream
    reply: Reply


@asynccontextmanager
async def spoilt(chosen: Sequence[Cell], provider: Dialect) -> AsyncIterator[dict[str, tuple[Cell, FakeUpstream, Any]]]:
    """A provider for each cell, to whom it happens once."""
    speech = speech_of(provider)
    async with AsyncExitStack() as stack:
        found = {}
        for number, cell in enumerate(chosen):
            upstream = await stack.enter_async_context(FakeUpstream())
            row = await cell.befall(upstream, times=1, speech=speech)
            row["base-url"] = row["base-url"].removesuffix("/v1")
            found[f"p{number}"] = (cell, upstream, {**row, "format": provider.name})
        yield found


async def ask(gateway: Loopback, client: Dialect, provider: Dialect, name: str, *, stream: bool, behind: str) -> Reply:
    model = ",".join(f"{one}/{provider.model}" for one in (name, behind) if one)
    return await gateway.post(client.write(Wish(model=model, stream=stream)), client.path(model, stream=stream))


async def meet(
    client: Dialect, provider: Dialect, chosen: Sequence[Cell], *, stream: bool, healthy: bool
) -> tuple[list[Met], dict[str, Record]]:
    """Have everything happen at once; what each client got, and the record of each provider's request."""
    total = max(chosen[0].total, SHORT)
    async with spoilt(chosen, provider) as found, FakeUpstream() as well:
        speech = speech_of(provider)
        head = {"content-type": speech.media_type if stream else "application/json", **speech.headers}
        well.answer(body=b"".join(speech.frames) if stream else speech.whole, headers=head, times=len(found))
        rows = {name: row for name, (_, _, row) in found.items()}
        rows["well"] = {"base-url": well.url, "format": provider.name}
        settings = {"providers": rows, "timeouts": {"total": f"{total:g}s"}}
        async with loopback(settings) as gateway, asyncio.timeout(total + GRACE):
            behind = "well" if healthy else ""
            asked = (ask(gateway, client, provider, name, stream=stream, behind=behind) for name in found)
            replies = await asyncio.gather(*asked)
            records = await gateway.recorded(len(found), seconds=GRACE)
            for _, upstream, _ in found.values():
                await upstream.idle(timeout=GRACE)
        together = zip(found.items(), replies, strict=True)
        met = [Met(cell, name, upstream, reply) for (name, (cell, upstream, _)), reply in together]
        return met, {record.attempts[0].provider_name: record for record in records}


def check_whole(client: Dialect, met: Met, about: str) -> None:
    """The client has its answer as if nothing had happened."""
    assert met.reply.status == 200, f"{about}: {met.reply.status} {met.reply.body!r}"
    heard = client.hear_stream(met.reply.body) if met.cell.streamed else client.hear(met.reply.body)
    assert (heard.text, heard.finish, heard.error, heard.complete) == (SAID.text, "stop", None, True), about


def check_fault(client: Dialect, provider: Dialect, met: Met, record: Record, about: str) -> None:
    """The client learns in its own format what went wrong, and nothing more."""
    row, reply = met.cell.row, met.reply
    for inner in (f":{met.upstream.port}", "secret-of", "Traceback", "aiohttp"):
        assert inner not in reply.body.decode(errors="replace"), about
    if met.cell.begun:
        heard = client.hear_stream(reply.body)
        assert reply.status == 200, about
        assert not heard.complete, f"{about}: it looks finished: {reply.body!r}"
        assert heard.error, f"{about}: nobody says that it is not: {reply.body!r}"
        assert heard.text, about
        assert SAID.text.startswith(heard.text), about
        assert record.outcome == "incomplete", about
        return
    assert record.outcome == "error", about
    said = client.hear_fault(reply.headers, reply.body)
    if row.fault == "error-event":
        assert reply.status >= 500, about
    else:
        status = row.shown or row.status
        allowed = {row.status, status, client.statuses.get(status, status)}
        assert reply.status in allowed, f"{about}: {reply.status}, {reply.body!r}"
    if row.code is None:
        assert OVERLOADED in said or "the vendor's words for" in said, f"{about}: {said}"
        return
    codes = {row.code}
    if row.wait == "first-byte":  # with so many at once it may take as long to connect
        codes.add("provider_connect_timeout")
    if provider.media_type != "text/event-stream":  # what is no event at all there is broken framing here
        codes |= {"provider_protocol_error", "incomplete_stream"}
    assert record.error_code in codes, about


@pytest.mark.parametrize(
    ("client", "provider", "stream", "healthy"),
    [
        pytest.param(
            *pair,
            stream,
            healthy,
            id=f"{pair[0].name}-over-{pair[1].name}-{'stream' if stream else 'whole'}{'-saved' * healthy}",
        )
        for pair in PAIRS
        for stream, healthy in ((False, False), (True, False), (True, True))
        if pair[0] is pair[1] or not healthy
    ],
)
async def test_every_fault_at_every_moment(
    client: Dialect, provider: Dialect, stream: bool, healthy: bool, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = cells_of(provider, stream=stream)
    groups = [[cell for cell in chosen if cell.total == total] for total in {cell.total for cell in chosen}]
    async with asyncio.TaskGroup() as tasks:
        meetings = [
            tasks.create_task(meet(client, provider, group, stream=stream, healthy=healthy)) for group in groups
        ]
    for met, records in (one.result() for one in meetings):
        for one in met:
            about = f"{client.name} over {provider.name}: {one.cell}"
            saved = healthy and one.cell.row.fails_over and not one.cell.begun
            if is_harmless(one.cell, provider) or saved:
                check_whole(client, one, about)
                assert records[one.name].outcome == "ok", about
            else:
                check_fault(client, provider, one, records[one.name], about)
    assert [line for line in caplog.records if line.exc_info or line.levelname in {"ERROR", "CRITICAL"}] == []


def test_no_fault_is_left_out_of_a_format() -> None:
    for provider in OTHERS:
        for stream in (False, True):
            missing = {str(cell) for cell in cells() if cell.streamed is stream} - {
                str(cell) for cell in cells_of(provider, stream=stream)
            }
            assert len(missing) <= 6, f"{provider.name}: {missing}"
    assert {MIDDLE, LAST} <= {cell.phase for cell in cells_of(OTHERS[0], stream=True)}
