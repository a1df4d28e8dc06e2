"""The benchmark runs from end to end, refuses wrong answers, fails on a missed bar, and says nothing of the machine."""

from __future__ import annotations

import asyncio
import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))  # the benchmarks are no installed package

from benchmarks.figures import Bar, bars
from benchmarks.guards import CASES
from benchmarks.imports import STATEMENTS, ImportCost
from benchmarks.instructions import added
from benchmarks.load import LoadError, closed_loop
from benchmarks.overload import open_loop
from benchmarks.paced import Listener, Seen
from benchmarks.payloads import ANSWER, EVENTS, MODEL, PACED_MODEL, STREAM, USAGE_EVENT, request_body, request_bytes
from benchmarks.targets import BARE, DIRECT, FAILOVER, LLMGATE
from benchmarks.translation import chat_formats, conversation
from benchmarks.upstream import Upstream

from benchmarks import __main__ as program, report

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def port():
    """Where an upstream listens in this process."""
    connected = set()

    class Counted(Upstream):
        def connection_made(self, transport):
            connected.add(self)
            super().connection_made(transport)

        def connection_lost(self, failure):
            connected.discard(self)
            super().connection_lost(failure)

    server = await asyncio.get_running_loop().create_server(Counted, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        while connected:  # else the next test pays for sockets that this one has left open
            await asyncio.sleep(0.01)


async def load(port, *, stream=False, expected=ANSWER):
    request = request_bytes(port=port, model=MODEL, stream=stream)
    return await closed_loop(port, request, expected, seconds=0.05, concurrency=4)


def run(tmp_path, *arguments):
    """A run at tiny counts; what it printed and what it measured."""
    kept = report.PAGE.read_bytes()
    file = tmp_path / "figures.json"
    always = ["--no-bars", "--seconds", "0.1", "--repetitions", "1", "--json", str(file)]
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks", *always, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert report.PAGE.read_bytes() == kept, "a partial run is not published"
    return result.stdout, json.loads(file.read_text())


def test_what_is_loaded_is_measured_from_end_to_end(tmp_path):
    """The servers start, answer rightly under load, and every figure is there."""
    targets = [f"--target={name}" for name in (DIRECT, BARE, FAILOVER)]
    parts = [f"--only={part}" for part in ("import", "requests", "streams", "in-process")]
    printed, figures = run(tmp_path, *targets, *parts)
    assert figures["import"].keys() == STATEMENTS.keys()
    assert figures["requests"][FAILOVER]["requests_per_second"] > 0
    assert figures["streams"][FAILOVER]["events_per_second"] > 0
    assert figures["streams"][FAILOVER]["memory_of_bare"] > 0
    assert figures["requests"][BARE]["of_bare"] == figures["streams"][BARE]["of_bare"] == 1
    assert any(name.startswith("llmgate") for name in figures["in-process"])
    assert f"| {FAILOVER}" in printed


def test_what_is_held_and_translated_is_measured_from_end_to_end(tmp_path):
    targets = [f"--target={name}" for name in (DIRECT, LLMGATE)]
    parts = [f"--only={part}" for part in ("paced", "slow-readers", "formats")]
    printed, figures = run(tmp_path, *targets, *parts, "--streams=4", "--readers=3")
    assert [row["failed"] for row in figures["paced"].values()] == [0, 0]
    assert figures["paced"][LLMGATE].keys() >= {"added_p50_ms", "added_p99_ms", "gap_p99_ms"}
    assert figures["slow-readers"][LLMGATE].keys() >= {"kb_per_stream", "memory_mb"}
    names = {one.name for one in chat_formats()}
    pairs = {f"{source} to {target}" for source in names for target in names - {source}}
    assert figures["conversations"].keys() == pairs
    assert figures["events"].keys() == pairs | {f"{name}, relayed" for name in names}
    assert "paced: failed of 4 streams" in printed


async def test_whole_answers_and_streams_are_counted(port):
    assert (await load(port)).requests >= 4
    assert (await load(port, stream=True, expected=b"".join(STREAM))).requests >= 4


@pytest.mark.parametrize("stream", [False, True])
async def test_a_wrong_answer_ends_the_run(port, stream):
    with pytest.raises(LoadError, match="a wrong answer"):
        await load(port, stream=stream, expected=b"something else")


async def test_a_refusal_ends_the_run(port):
    with pytest.raises(LoadError, match="400 Bad Request"):
        await closed_loop(port, b"POST / HTTP/1.1\r\n\r\n", ANSWER, seconds=0.05, concurrency=1)


async def test_nobody_listening_ends_the_run(unused_tcp_port):
    with pytest.raises(LoadError, match="does not answer"):
        await load(unused_tcp_port)


@pytest.mark.parametrize("asks", [False, True])
async def test_the_upstream_sends_usage_only_when_asked(port, asks):
    """The event that llmgate must withhold is really there when llmgate asks for it."""
    fields = json.loads(request_body(model=MODEL, stream=True))
    body = json.dumps({**fields, "stream_options": {"include_usage": asks}}).encode()
    request = b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    with_usage = b"".join([*STREAM[:-1], USAGE_EVENT, STREAM[-1]])
    sample = await closed_loop(port, request, with_usage if asks else b"".join(STREAM), seconds=0.05, concurrency=1)
    assert sample.requests


async def test_the_upstream_takes_requests_in_pieces(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = request_bytes(port=port, model=MODEL, stream=False)
    for at in range(0, len(request), 40):
        writer.write(request[at : at + 40])
        await writer.drain()
        await asyncio.sleep(0)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert await reader.readexactly(len(ANSWER)) == ANSWER
    writer.close()
    await writer.wait_closed()


def test_a_stream_is_what_the_documentation_says():
    assert len(STREAM) == EVENTS == 53
    assert 200 <= len(STREAM[1]) <= 260


@pytest.mark.parametrize(("ratio", "status"), [(1.2, 0), (1.3, 1)])
def test_a_missed_bar_fails_the_run(monkeypatch, ratio, status):
    costs = {name: ImportCost(0.1 * (ratio if name == "llmgate" else 1), ()) for name in STATEMENTS}
    monkeypatch.setattr(program, "import_costs", lambda repetitions, cpus: costs)
    assert program.main(["--only", "import"]) == status
    assert program.main(["--only", "import", "--no-bars"]) == 0


@pytest.mark.parametrize("part", ["requests", "streams"])
def test_bare_sets_the_bar_for_llmgate_as_it_is_by_default(part):
    targets = {DIRECT: {"of_bare": 9.0}, BARE: {"of_bare": 1.0}, LLMGATE: {"of_bare": 0.64}}
    missed = [bar for bar in bars({part: targets}) if not bar.kept]
    assert missed == [Bar(f"{part}: throughput / bare", 0.64, 0.65, upper=False)]


HELD = {
    "paced": {LLMGATE: {"streams": 1000, "failed": 1}},
    "slow-readers": {LLMGATE: {"kb_per_stream": 257.0}},
    "conversations": {"a to b": {"ms": 1.0}, "b to a": {"ms": 2.1}},
    "events": {"a, relayed": {"us": 31.0}, "a to b": {"us": 61.0}},
}


@pytest.mark.parametrize(
    ("part", "missed"),
    [
        ("paced", ["paced: failed of 1,000 streams"]),
        ("slow-readers", ["slow readers: kB a stream"]),
        ("conversations", ["translation of a conversation, slowest, ms"]),
        ("events", ["relayed event, slowest format, µs", "translated event, slowest pair, µs"]),
    ],
)
def test_what_is_held_and_translated_has_its_bars(part, missed):
    assert [bar.what for bar in bars({part: HELD[part]}) if not bar.kept] == missed


async def test_paced_events_tell_when_they_were_sent(port):
    request = request_bytes(port=port, model=PACED_MODEL, stream=True, max_tokens=3, seed=1)
    seen = Seen()
    _, listener = await asyncio.get_running_loop().create_connection(
        lambda: Listener(request, 3, seen), "127.0.0.1", port
    )
    await listener.over
    assert (len(seen.delays), len(seen.gaps), seen.failures) == (3, 2, [])


@pytest.mark.parametrize("events", [2, 4])
async def test_a_paced_stream_of_another_length_is_a_failure(port, events):
    request = request_bytes(port=port, model=PACED_MODEL, stream=True, max_tokens=3, seed=1)
    seen = Seen()
    _, listener = await asyncio.get_running_loop().create_connection(
        lambda: Listener(request, events, seen), "127.0.0.1", port
    )
    await listener.over
    assert seen.failures == ["events are missing"] * (events == 4) + ["there are too many events"] * (events == 2)


def test_the_conversation_is_as_long_as_its_table_says():
    request = conversation()
    assert (len(request.messages), len(request.tools)) == (50, 20)
    for wire_format in chat_formats():
        again = wire_format.decode_request(wire_format.encode_request(request))
        assert len(again.tools) == 20


def test_a_load_generator_that_is_the_bottleneck_is_found_out():
    targets = {DIRECT: {"of_bare": 1.5}, BARE: {"of_bare": 1.0}, LLMGATE: {"of_bare": 0.9}}
    assert [bar.what for bar in bars({"requests": targets}) if not bar.kept] == [
        "requests: load alone / fastest target"
    ]


def test_a_heavy_module_misses_the_bar():
    figures = {name: {"ms": 1.0, "ratio": 1.0, "loads": []} for name in STATEMENTS}
    figures["Pipeline"]["loads"] = ["aiohttp"]
    assert not all(bar.kept for bar in bars({"import": figures}))


def test_only_the_figures_of_the_page_are_written():
    page = report.PAGE.read_text(encoding="utf-8")
    written = report.with_figures(page, "| a table |\n")
    assert "| a table |" in written
    assert report.with_figures(written, "x\n") == report.with_figures(page, "x\n")
    with pytest.raises(ValueError, match="the page lacks"):
        report.with_figures("no marks", "x")


def test_the_provenance_names_no_host_and_no_path():
    made = json.dumps(report.provenance(program.Cpus(0, 1), seconds=1, repetitions=1))
    assert platform.node() not in made
    assert str(ROOT) not in made
    assert str(Path.home()) not in made


async def test_a_crowd_comes_at_its_rate_and_each_of_it_is_accounted_for(port):
    request = request_bytes(port=port, model=MODEL, stream=False)
    outcome = await open_loop(port, request, rate=200, seconds=0.5)
    assert len(outcome.answered) == pytest.approx(100, abs=2)
    assert (outcome.shed, outcome.failed) == ([], 0)
    wrong = await open_loop(port, b"GET / HTTP/1.1\r\n\r\n", rate=20, seconds=0.5)
    assert (wrong.answered, wrong.shed) == ([], [])
    assert wrong.failed == pytest.approx(10, abs=2)


@pytest.mark.parametrize("case", CASES)
def test_what_guards_a_request_lets_those_of_the_benchmark_through(case):
    counted = [sys.executable, "-m", "benchmarks.guards", case, "3", sys.executable, "-c", "pass"]
    subprocess.run(counted, cwd=ROOT, check=True, timeout=50)


def test_what_guards_add_is_a_part_of_the_bare_pass_through():
    found = {"bare": 1000.0, **dict.fromkeys(CASES, 600.0), "plain": 500.0}
    assert added(found) == dict.fromkeys(CASES.keys() - {"plain"}, 0.1)
