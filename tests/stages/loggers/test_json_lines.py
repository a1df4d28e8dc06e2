"""``json-lines``: one line a record, whatever happens to the file."""

from __future__ import annotations

import asyncio
import json
import os
import threading

import pytest

from llmgate.codecs.jsons import loads
from llmgate.spec import Content, PluginError, RecordContent, StageContext
from llmgate.stages.loggers import json_lines
from llmgate.stages.loggers.json_lines import JsonLines, JsonLinesConfig, line_of
from llmgate.testing.clock import FakeClock
from llmgate.testing.samples import sample_record
from llmgate.testing.transport import ScriptedTransport


def context(directory):
    def nothing(_):
        raise AssertionError

    return StageContext(
        id="loggers[0]",
        clock=FakeClock(),
        transport=ScriptedTransport(),
        fetch_secret=nothing,
        state=nothing,
        directory=directory,
    )


@pytest.fixture
async def stage(tmp_path):
    stage = JsonLines(JsonLinesConfig(path="log.jsonl"))
    await stage.open(context(tmp_path))
    yield stage
    await stage.aclose()


def ids(path):
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


async def write(stage, record):
    await stage.record(record)
    await stage.flush()


def test_the_line_is_the_record():
    record = sample_record()
    line = line_of(record)
    assert line.endswith(b"}\n")
    assert json.loads(line) == json.loads(json.dumps(record.as_json()))
    assert b", " not in line.replace(b"2024-07-18", b""), "compact"


async def test_what_is_there_is_kept(stage, tmp_path):
    first, second = sample_record(), sample_record()
    await write(stage, first)
    await stage.aclose()
    await stage.open(context(tmp_path))
    await write(stage, second)
    assert ids(tmp_path / "log.jsonl") == [first.id, second.id]


async def test_records_wait_until_they_are_flushed(stage, tmp_path):
    await stage.record(sample_record())
    assert (tmp_path / "log.jsonl").read_bytes() == b""
    await stage.flush()
    assert len(ids(tmp_path / "log.jsonl")) == 1


async def test_much_is_written_without_waiting_for_a_flush(stage, tmp_path):
    for _ in range(200):
        await stage.record(sample_record())
    assert len(ids(tmp_path / "log.jsonl")) > 0


@pytest.mark.parametrize("how", ["moved", "removed"])
async def test_the_file_is_opened_again_after_rotation(stage, tmp_path, how):
    path = tmp_path / "log.jsonl"
    before, after = sample_record(), sample_record()
    await write(stage, before)
    if how == "moved":
        path.rename(tmp_path / "log.jsonl.1")
    else:
        path.unlink()
    await write(stage, after)
    assert ids(path) == [after.id]
    if how == "moved":
        assert ids(tmp_path / "log.jsonl.1") == [before.id]


async def test_writing_happens_off_the_event_loop(stage, monkeypatch):
    threads = []
    write_all = stage._write
    monkeypatch.setattr(stage, "_write", lambda writing: (threads.append(threading.get_ident()), write_all(writing)))
    await write(stage, sample_record())
    assert threads
    assert threading.get_ident() not in threads


async def test_what_could_not_be_written_is_written_later_once(stage, tmp_path, monkeypatch):
    """A full disk that lets half a line through: the rest follows, nothing comes twice."""
    records = [sample_record() for _ in range(3)]
    real, calls = os.write, []

    def half(descriptor, data):
        calls.append(len(data))
        if len(calls) == 1:
            return real(descriptor, bytes(data)[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    for record in records[:2]:
        await stage.record(record)
    with pytest.raises(OSError, match="No space"):
        await stage.flush()
    monkeypatch.setattr(os, "write", real)
    await write(stage, records[2])
    assert ids(tmp_path / "log.jsonl") == [record.id for record in records]


async def test_a_cancelled_flush_loses_and_repeats_nothing(stage, tmp_path, monkeypatch):
    gate, write_all = threading.Event(), stage._write

    def slow(writing):
        gate.wait(10)
        write_all(writing)

    monkeypatch.setattr(stage, "_write", slow)
    records = [sample_record() for _ in range(2)]
    await stage.record(records[0])
    flushing = asyncio.create_task(stage.flush())
    await asyncio.sleep(0.01)
    flushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flushing
    await stage.record(records[1])
    gate.set()
    await stage.aclose()
    assert ids(tmp_path / "log.jsonl") == [record.id for record in records]


async def test_a_full_buffer_drops_and_counts(stage, monkeypatch):
    monkeypatch.setattr(json_lines, "_MAX_WAITING", 2000)
    for _ in range(10):
        await stage.record(sample_record())
    assert 0 < stage.dropped < 10


async def test_a_path_that_cannot_be_opened_stops_the_start(tmp_path):
    stage = JsonLines(JsonLinesConfig(path="no/such/folder/log.jsonl"))
    with pytest.raises(PluginError, match=r"loggers\[0\]: json-lines cannot open .*log.jsonl: No such file"):
        await stage.open(context(tmp_path))
    await stage.aclose()


async def test_after_closing_nothing_goes_to_standard_output(stage, capsys):
    await stage.aclose()
    await write(stage, sample_record())
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("char", ["m", "\x00", "\U0001f511"])
def test_no_line_is_longer_than_16_kib(char):
    text = char * 100_000
    record = sample_record(request_model=text, error_message=text, principal=text, metadata={text: text}, router=text)
    line = line_of(record)
    assert len(line) <= 16 * 1024
    assert json.loads(line)["id"] == record.id


@pytest.mark.parametrize("size", [999, 1000, 1001])
@pytest.mark.parametrize("char", ["m", '"', "\\", "\n", "\x7f", "é", "\U0001f511"])
def test_texts_are_cut_whatever_they_hold(char, size):
    line = line_of(sample_record(request_model=char * size))
    assert line.isascii()
    assert set(line) <= {*range(0x20, 0x7F), 0x0A}
    assert json.loads(line)["request_model"] == (char * size if size <= 1000 else char * 999 + "…")


@pytest.mark.parametrize("quotes", ['"', '","', '":"'])
def test_a_long_text_is_not_hidden_by_quotes_in_it(quotes):
    values = json.loads(line_of(sample_record(error_message=(quotes + "x" * 500) * 9)))
    assert len(values["error_message"]) == 1000


def test_values_that_json_cannot_say_leave_a_line_that_everybody_reads():
    record = sample_record(
        request_model="a\udc80b", duration=float("nan"), content=RecordContent(Content(2, text="\x7f\ud800é"))
    )
    line = line_of(record)
    values = loads(line)
    assert (values["request_model"], values["duration"], values["content"]["request"]["text"]) == (
        "a?b",
        None,
        "\x7f?é",
    )
    assert line.isascii()
    assert b"\x7f" not in line


def test_many_labels_are_left_out_and_said_so():
    record = sample_record(metadata={f"label-{number}": "x" * 200 for number in range(200)})
    values = json.loads(line_of(record))
    assert (values["metadata"], values["truncated"], values["id"]) == ({}, True, record.id)
