"""The benchmark runs from end to end, refuses wrong answers, fails on a missed bar, and says nothing of the machine."""

from __future__ import annotations

import asyncio
import json
import platform
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

sys.path.append(str(Path(__file__).parents[2]))  # the benchmarks are no installed package

from benchmarks.answers import text_of
from benchmarks.charts import CHARTS, draw, drawn
from benchmarks.configurations import EVERYTHING, FAILOVER, FAST, FAST_TRANSLATED, LLMGATE
from benchmarks.figures import AIMS, Bar, bars
from benchmarks.growth import KINDS
from benchmarks.guards import CASES
from benchmarks.imports import STATEMENTS, ImportCost
from benchmarks.instructions import added
from benchmarks.load import LoadError, closed_loop, numbered, plain
from benchmarks.overload import open_loop
from benchmarks.paced import Listener, Seen
from benchmarks.payloads import (
    ANSWER,
    EVENTS,
    MODEL,
    PACED_MODEL,
    STREAM,
    TEXT,
    USAGE_EVENT,
    request_body,
    request_bytes,
)
from benchmarks.peers import __main__ as peers
from benchmarks.rates import RATES
from benchmarks.targets import BARE, DIRECT
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
    targets = [f"--target={name}" for name in (DIRECT, BARE, FAILOVER, FAST_TRANSLATED)]
    parts = [f"--only={part}" for part in ("import", "requests", "streams", "in-process")]
    printed, figures = run(tmp_path, *targets, *parts)
    for part in ("requests", "streams"):
        assert figures[part][FAST_TRANSLATED]["cpu_us_per_request"] > 0
        assert figures[part][FAST_TRANSLATED]["start_s"] > 0
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


def test_everything_on_is_measured_at_a_rate_beside_growth_and_workers(tmp_path):
    targets = [f"--target={name}" for name in (DIRECT, EVERYTHING)]
    parts = [f"--only={part}" for part in ("rates", "growth", "workers")]
    _, figures = run(tmp_path, *targets, *parts, "--size=2", "--size=3")
    assert figures["rates"].keys() == {f"{name}, {rate}/s" for rate in RATES for name in (DIRECT, EVERYTHING)}
    assert figures["rates"][f"{EVERYTHING}, 200/s"].keys() >= {"added_p50_ms", "added_p99_ms", "cpu_us_per_request"}
    assert figures["growth"].keys() == {f"{size} {kind}" for size in (2, 3) for kind in KINDS}
    assert figures["workers"][LLMGATE]["gain"] > 0


async def test_no_two_requests_are_equal(port):
    request = numbered(request_bytes(port=port, model=MODEL, stream=False))
    assert len({request() for _ in range(10)}) == 10
    assert len({len(request()) for _ in range(10)}) == 1


def test_an_answer_that_is_written_anew_must_say_the_same():
    """What changes by its nature may change, and nothing else."""
    assert plain(ANSWER.replace(b"1760000000", b"1770000000")) == plain(ANSWER)
    assert plain(ANSWER.replace(b"Two runs", b"Two lies")) != plain(ANSWER)
    assert text_of(ANSWER, stream=False) == TEXT
    assert text_of(b"".join(STREAM), stream=True) == " and so the answer grows by a few more words" * 50
    assert text_of(b"".join(STREAM[:-1]), stream=True) is None


def test_charts_have_a_bar_for_each_row():
    (chart, *_) = CHARTS
    rows = {BARE: 300.0, "<odd> & more": 150.0}
    picture = ET.fromstring(draw(chart, rows))
    widths = [float(bar.get("width")) for bar in picture.iter("{http://www.w3.org/2000/svg}rect")]
    assert widths == [400.0, 200.0]
    assert [one.name for one, _ in drawn({chart.part: {DIRECT: {}, BARE: {chart.figure: 1.0}}})] == [chart.name]


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


@pytest.mark.parametrize(("part", "bound"), [("requests", 0.65), ("streams", 0.8)])
def test_bare_sets_the_bar_for_llmgate_as_it_is_by_default(part, bound):
    targets = {DIRECT: {"of_bare": 9.0}, BARE: {"of_bare": 1.0}, LLMGATE: {"of_bare": bound - 0.01}}
    missed = [bar for bar in bars({part: targets}) if not bar.kept]
    assert missed == [Bar(f"{part}: throughput / bare", bound - 0.01, bound, upper=False)]


def test_aims_have_their_bars():
    """Each aim of the programme is a bar, kept at its bound and missed beyond it."""
    for part, name, figure, what, bound, upper in AIMS:
        worse = bound + 0.01 if upper else bound - 0.01
        for value, kept in ((bound, True), (worse, False)):
            judged = bars({part: {name: {figure: value}}})
            assert [(bar.what, bar.kept) for bar in judged if bar.what == f"{part}: {what}"] == [
                (f"{part}: {what}", kept)
            ]


@pytest.mark.parametrize("cpus", [2, 4])
def test_the_gain_of_workers_is_judged_where_each_has_a_cpu(cpus):
    gains = {BARE: {"gain": 2.0}, LLMGATE: {"gain": 1.7}}
    judged = bars({"made": {"cpus": cpus}, "workers": gains})
    assert [bar.kept for bar in judged] == ([False] if cpus == 4 else [])


HELD = {
    "rates": {
        f"{BARE}, 200/s": {"added_p50_ms": 1.0},
        f"{EVERYTHING}, 200/s": {"added_p50_ms": 1.6},
        f"{EVERYTHING}, 1000/s": {"added_p50_ms": 8.1},
    },
    "growth": {"10 keys": {"of_smallest": 1.0}, "1,000 keys": {"of_smallest": 1.2}},
    "in-process": {f"{who}, 1 at a time": {"cpu_us": cpu} for who, cpu in (("aiohttp", 100), ("llmgate", 201))},
    "paced": {LLMGATE: {"streams": 1000, "failed": 1}},
    "slow-readers": {LLMGATE: {"kb_per_stream": 257.0}},
    "conversations": {"a to b": {"ms": 1.0}, "b to a": {"ms": 2.1}},
    "events": {"a, relayed": {"us": 31.0}, "a to b": {"us": 61.0}},
}


@pytest.mark.parametrize(
    ("part", "missed"),
    [
        (
            "rates",
            ["rates: p50 added at 200/s / bare's, everything on", "rates: p50 added at 1,000/s, everything on, ms"],
        ),
        ("growth", ["growth: CPU of a request, most of the smallest"]),
        ("in-process", ["in process: CPU of a call / aiohttp's, 1 at a time"]),
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


def test_peers_are_measured_beside_llmgate_and_those_that_are_missing_are_named(monkeypatch, tmp_path, capsys):
    """Nothing is installed here: llmgate is measured all the same, and each that is left out is said to be."""
    monkeypatch.setattr(peers, "INSTALLED", tmp_path)
    monkeypatch.setattr(peers, "OURS", (DIRECT, LLMGATE))
    assert peers.main(["--seconds", "0.1", "--repetitions", "1"]) == 0
    printed = capsys.readouterr().out
    for name in (*peers.PEERS, *peers.LIBRARIES.values()):
        assert f"{name} is left out: " in printed
    assert f"| {LLMGATE}" in printed


def test_what_a_peer_may_be_compared_with():
    costs = {EVERYTHING: 310.0, FAST: 130.0, peers.PORTKEY: 500.0, peers.TENSORZERO: 100.0}
    figures = {name: {"cpu_us_per_request": cost} for name, cost in costs.items()}
    judged = {bar.what: bar.kept for bar in peers.peer_bars(figures)}
    assert judged == {
        f"CPU of a request: {EVERYTHING} / {peers.PORTKEY}": False,
        f"CPU of a request: {FAST} / {peers.TENSORZERO}": False,
    }


def test_the_page_has_a_place_for_peers_of_its_own():
    page = report.PAGE.read_text(encoding="utf-8")
    written = report.with_figures(page, "| peers |", begin=peers.BEGIN, end=peers.END)
    assert "| peers |" in written
    assert report.with_figures(written, "x") != report.with_figures(page, "x")


async def test_so_many_answers_are_enough(port):
    request = request_bytes(port=port, model=MODEL, stream=False)
    sample = await closed_loop(port, request, ANSWER, seconds=50, concurrency=1, count=3)
    assert sample.requests == 3


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
    subprocess.run(counted, cwd=ROOT, check=True, timeout=150)


def test_what_guards_add_is_a_part_of_the_bare_pass_through():
    found = {"bare": 1000.0, **dict.fromkeys(CASES, 600.0), "plain": 500.0}
    assert added(found) == dict.fromkeys(CASES.keys() - {"plain"}, 0.1)
