"""What the journal has when an answer ends: its record, once, before the last bytes, whatever happens."""

from __future__ import annotations

import asyncio
import errno
import json
from pathlib import Path
from typing import Any

import pytest

from llmgate.pipeline import Pipeline
from llmgate.spec import GatewayError, Logger, OverloadedError, Principal, Record, hookimpl

CHAT = {"model": "echo/echo", "messages": [{"role": "user", "content": "hello there"}]}
KEPT: list[Record] = []


class Keeping(Logger[Any]):
    name = "keeping"
    durable = True

    async def record(self, record: Record) -> None:
        if all(one.id != record.id for one in KEPT):
            KEPT.append(record)


class Plugin:
    @hookimpl
    def llmgate_register_loggers(self) -> type[Logger[Any]]:
        return Keeping


@pytest.fixture(autouse=True)
def _nothing_kept():
    KEPT.clear()


def made(directory: Path, *, more: dict[str, Any] | None = None, **journal: Any) -> Pipeline:
    settings = {
        **(more or {}),
        "providers": {"echo": {}},
        "records": {"journal": {"path": str(directory / "journal"), **journal}},
        "loggers": [{"use": "keeping"}],
    }
    return Pipeline.from_config(settings, environment={}, plugins=[Plugin()])


def written(directory: Path) -> list[dict[str, Any]]:
    """The records in the journal's files, in order."""
    found = []
    for path in sorted((directory / "journal").glob("*/*.segment")):
        found += [json.loads(line[18:]) for line in path.read_bytes().splitlines()]
    return found


@pytest.mark.parametrize("sync", ["group", "os", "always"])
async def test_a_whole_answer_is_written_down_before_it_is_given(tmp_path, sync) -> None:
    async with made(tmp_path, sync=sync) as pipeline:
        answer = await pipeline.complete(**CHAT)
        (record,) = written(tmp_path)
        assert (record["id"], record["outcome"], record["status"]) == (answer.exchange.id, "ok", 200)
        assert record["usage"]["output_tokens"] == 2
        assert record["attempts"][0]["duration"] is not None
    assert [one.id for one in KEPT] == [answer.exchange.id]
    assert KEPT[0] == answer.exchange


@pytest.mark.parametrize("sync", ["group", "os"])
async def test_a_stream_is_written_down_before_its_last_bytes(tmp_path, sync) -> None:
    async with made(tmp_path, sync=sync) as pipeline:
        async with pipeline.exchange() as frame:
            stream = await frame.stream(pipeline._request(None, CHAT, None, None, None, None, stream=True))
            seen: list[tuple[bytes, int]] = [(data, len(written(tmp_path))) async for data in stream]
        assert seen[-1][0].endswith(b"[DONE]\n\n")
        assert seen[-1][1] == 1
        assert seen[0][1] == 0
        assert len(written(tmp_path)) == 1
    assert [one.outcome for one in KEPT] == ["ok"]


@pytest.mark.parametrize("chunks", range(4))
async def test_a_caller_who_leaves_anywhere_leaves_one_record(tmp_path, chunks) -> None:
    async with made(tmp_path) as pipeline:

        async def ask() -> None:
            async with pipeline.stream(**CHAT) as stream:
                count = 0
                async for _ in stream:
                    count += 1
                    if count > chunks:
                        await asyncio.Event().wait()
                await asyncio.Event().wait()

        asking = asyncio.create_task(ask())
        await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        (record,) = written(tmp_path)
    assert [one.id for one in KEPT] == [record["id"]]
    assert record["outcome"] in {"cancelled", "ok"}


async def test_an_answer_that_is_read_on_is_written_down_with_its_end(tmp_path) -> None:
    draining = {"unified-api": {"on-disconnect": "drain"}}
    async with made(tmp_path, more=draining) as pipeline, pipeline.stream(**CHAT) as stream:
        async for _ in stream:
            break
    assert [(one.outcome, one.status) for one in KEPT] == [("disconnected", 499)]
    assert KEPT[0].usage is not None


async def test_leaving_while_the_record_is_written_leaves_one_record(tmp_path) -> None:
    for delay in range(12):
        async with made(tmp_path / str(delay)) as pipeline:
            asking = asyncio.create_task(pipeline.complete(**CHAT))
            for _ in range(delay):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            assert len(written(tmp_path / str(delay))) == (delay > 0)


async def test_what_is_refused_is_written_down_too(tmp_path) -> None:
    async with made(tmp_path) as pipeline:
        for _ in range(2):
            with pytest.raises(GatewayError):
                await pipeline.complete(**CHAT, principal=Principal("p", models=["other"]))
        assert [one["outcome"] for one in written(tmp_path)] == ["error", "error"]
    assert [one.outcome for one in KEPT] == ["error", "error"]


class Full:
    """Makes the disk of a pipeline's journal full, and empty again."""

    def __init__(self, pipeline: Pipeline, monkeypatch) -> None:
        self.full = True
        disk = pipeline.snapshot.journal._disk
        write = disk.write

        def maybe(descriptor: int, data: bytes) -> None:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            write(descriptor, data)

        monkeypatch.setattr(disk, "write", maybe)


@pytest.mark.parametrize("sync", ["group", "os"])
async def test_a_full_disk_is_served_on(tmp_path, monkeypatch, sync) -> None:
    async with made(tmp_path, sync=sync) as pipeline:
        full = Full(pipeline, monkeypatch)
        first = await pipeline.complete(**CHAT)
        full.full = False
        second = await pipeline.complete(**CHAT)
        assert [one["id"] for one in written(tmp_path)] == [second.exchange.id]
    assert {one.id for one in KEPT} == {first.exchange.id, second.exchange.id}


@pytest.mark.parametrize("sync", ["group", "os"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_full_disk_is_refused_where_that_is_wanted(tmp_path, monkeypatch, sync, streamed) -> None:
    monkeypatch.setattr("llmgate.journal.journal.REFUSAL", 0.2)

    async def ask(pipeline: Pipeline) -> Any:
        if not streamed:
            return await pipeline.complete(**CHAT)
        async with pipeline.stream(**CHAT) as chunks:
            return [one async for one in chunks]

    async with made(tmp_path, sync=sync, **{"on-failure": "refuse"}) as pipeline:
        await ask(pipeline)
        full = Full(pipeline, monkeypatch)
        for _ in range(2):
            with pytest.raises(OverloadedError, match="cannot write its records") as refused:
                await ask(pipeline)
            assert (refused.value.code, refused.value.http_status) == ("records_unavailable", 503)
        full.full = False
        await asyncio.sleep(0.25)
        await ask(pipeline)
    assert sorted(one.outcome for one in KEPT) == ["error", "incomplete", "ok", "ok"]
    assert sorted(len(one.attempts) for one in KEPT) == [0, 1, 1, 1], "the second has not cost anything"


async def test_a_reload_brings_what_waits_to_the_logger_that_follows(tmp_path) -> None:
    path = tmp_path / "c.yaml"
    text = "providers: {echo: {}}\nrecords: {journal: {path: journal}}\nloggers: [{use: json-lines, path: NAME}]\n"
    path.write_text(text.replace("NAME", "one"))
    pipeline = Pipeline.from_config(path, environment={})
    async with pipeline:
        first = await pipeline.complete(**CHAT)
        path.write_text(text.replace("NAME", "two"))
        await pipeline.reload()
        second = await pipeline.complete(**CHAT)
        path.write_text(text.replace("NAME", "two").replace("path: journal", "path: other"))
        await pipeline.reload()
        third = await pipeline.complete(**CHAT)
    found = [json.loads(line)["id"] for name in ("one", "two") for line in (tmp_path / name).read_text().splitlines()]
    assert sorted(found) == sorted(one.exchange.id for one in (first, second, third))
    assert [list((tmp_path / name).iterdir()) for name in ("journal", "other")] == [[], []]


async def test_a_journal_that_nobody_reads_is_refused(tmp_path) -> None:
    settings = {"providers": {"echo": {}}, "records": {"journal": {"path": str(tmp_path)}}}
    with pytest.raises(GatewayError, match="none of the loggers takes records from a journal"):
        Pipeline.from_config({**settings, "loggers": [{"use": "json-lines"}]}, environment={})
