"""Broken streams of every format: a reader raises the one declared error or none, whatever comes, in linear time.

Streams that are whole are written by the format itself, then broken in ways that networks and servers break them. The
suite tries some of them; ``make fuzz`` goes on with others for as long as ``LLMGATE_FUZZ_SECONDS`` says.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final

import pytest

from llmgate.formats import FORMATS, get_format
from llmgate.spec import (
    ChoiceDelta,
    FinishReason,
    Format,
    GatewayChunk,
    Operation,
    ProviderProtocolError,
    Reasoning,
    StreamReader,
    Text,
    ToolCallDelta,
    Usage,
)

CHAT: Final = [name for name in FORMATS if get_format(name).operation is Operation.CHAT]
SECONDS: Final = float(os.environ.get("LLMGATE_FUZZ_SECONDS", "0"))
"""For how long each case goes on; 0 for a number of rounds."""
ROUNDS: Final = 120

WORDS: Final = ("Hel", "lo ", "wörld", "\u2028", '"error"', "data: [DONE]", "{}", "\U0001f600", "\\n", "x" * 300)


def whole_stream(wire_format: Format, random_: random.Random) -> bytes:
    """A stream as the format writes it: thought, text, calls, an end, usage."""
    encoder = wire_format.stream_encoder(include_usage=True)
    head = {"id": "r-1", "model": "m"}
    deltas = [ChoiceDelta(role="assistant")]
    if random_.random() < 0.5:
        deltas += [ChoiceDelta(parts=(Reasoning(word),)) for word in random_.sample(WORDS, 2)]
        deltas.append(ChoiceDelta(parts=(Reasoning("", signature="c2ln"),)))
    deltas += [ChoiceDelta(parts=(Text(word),)) for word in random_.sample(WORDS, random_.randint(0, 5))]
    calls = random_.randint(0, 2)
    for index in range(calls):
        call = ToolCallDelta(index, id=f"call_{index}", name="look_up", arguments="")
        rest = ToolCallDelta(index, arguments='{"city":"Köln"}')
        deltas += [ChoiceDelta(tool_calls=(call,)), ChoiceDelta(tool_calls=(rest,))]
    deltas.append(ChoiceDelta(finish_reason=FinishReason.TOOL_CALLS if calls else FinishReason.STOP))
    chunks = [GatewayChunk((delta,), **head) for delta in deltas]
    chunks.append(GatewayChunk(usage=Usage(input_tokens=7, output_tokens=3), **head))
    return b"".join(encoder.encode(chunk) for chunk in (*chunks, GatewayChunk(final=True)))


def broken(stream: bytes, random_: random.Random) -> bytes:
    """The stream after a few accidents."""
    data = bytearray(stream)
    for _ in range(random_.randint(0, 4)):
        if not data:
            break
        start = random_.randrange(len(data))
        end = min(len(data), start + random_.randint(1, 60))
        match random_.randrange(7):
            case 0:
                del data[start:]
            case 1:
                del data[start:end]
            case 2:
                data[start] ^= 1 << random_.randrange(8)
            case 3:
                data[start:start] = data[start:end]
            case 4:
                data[start:end] = random_.randbytes(end - start)
            case 5:
                data[start:start] = random_.choice((b"\n\n", b"\r\n", b"\r", b"\x00", b"[" * 40, b'"', b"}", b"\xff"))
            case _:
                data[start:end] = bytes(data[start:end]).replace(b'"', b"", 1).replace(b":", b":null,", 1)
    return bytes(data)


def pieces(data: bytes, random_: random.Random) -> Iterator[bytes]:
    """The bytes in pieces of any size."""
    largest = random_.choice((1, 7, 64, 4096))
    place = 0
    while place < len(data):
        size = random_.randint(1, largest)
        yield data[place : place + size]
        place += size


def read(reader: StreamReader, method: str, data: bytes, random_: random.Random) -> None:
    step: Callable[[bytes], Any] = getattr(reader, method)
    failure: ProviderProtocolError | None = None
    try:
        for piece in pieces(data, random_):
            step(piece)
        reader.finish()
    except ProviderProtocolError as error:
        failure = error
    if failure is None:
        assert reader.outcome.complete or reader.outcome.error is not None, "an end that nobody has told"
    else:
        assert failure.message
        assert failure.retryable


def seeds() -> Iterator[int]:
    """The rounds: some and always the same, or others until the time is over."""
    if not SECONDS:
        yield from range(ROUNDS)
        return
    began, first = time.monotonic(), random.SystemRandom().randrange(2**40)
    for seed in itertools.count(first):
        if time.monotonic() - began > SECONDS:
            return
        yield seed


@pytest.mark.timeout(60 + 2 * SECONDS)
@pytest.mark.parametrize("method", ["relay", "decode"])
@pytest.mark.parametrize("name", CHAT)
def test_a_broken_stream_is_the_declared_error_or_none(name: str, method: str) -> None:
    wire_format = get_format(name)
    for seed in seeds():
        random_ = random.Random(seed)
        data = broken(whole_stream(wire_format, random_), random_)
        try:
            read(wire_format.stream_reader(), method, data, random_)
        except Exception as failure:
            raise AssertionError(f"{name}, {method}, seed {seed}: {data!r}") from failure


@pytest.mark.parametrize("method", ["relay", "decode"])
@pytest.mark.parametrize("name", CHAT)
def test_a_whole_stream_is_read_to_its_end(name: str, method: str) -> None:
    wire_format = get_format(name)
    for seed in range(20):
        random_ = random.Random(seed)
        reader = wire_format.stream_reader()
        for piece in pieces(whole_stream(wire_format, random_), random_):
            getattr(reader, method)(piece)
        reader.finish()
        assert reader.outcome.complete
        assert reader.outcome.error is None


def calls_of(work: Callable[[], None]) -> int:
    """How many calls some work makes: what it costs, without a clock."""
    count = 0

    def note(_: FrameType, event: str, __: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("method", ["relay", "decode"])
@pytest.mark.parametrize("name", CHAT)
def test_twice_the_stream_is_twice_the_work(name: str, method: str) -> None:
    """Many events, and one event that comes in many pieces."""
    wire_format = get_format(name)
    encoder = wire_format.stream_encoder()
    head = encoder.encode(GatewayChunk((ChoiceDelta(role="assistant", parts=(Text("a"),)),), id="r", model="m"))
    event = encoder.encode(GatewayChunk((ChoiceDelta(parts=(Text("more "),)),)))
    long = encoder.encode(GatewayChunk((ChoiceDelta(parts=(Text("y" * 40_000),)),)))

    def many(count: int) -> None:
        step = getattr(wire_format.stream_reader(), method)
        step(head)
        for _ in range(count):
            step(event)

    def drip(size: int) -> None:
        step = getattr(wire_format.stream_reader(), method)
        step(head)
        for place in range(0, size, 10):
            step(long[place : place + 10])

    for work, small in ((many, 200), (drip, 15_000)):
        few, twice = (
            calls_of(lambda work=work, small=small: work(small)),
            calls_of(lambda work=work, small=small: work(2 * small)),
        )
        assert twice < 2.3 * few, f"{work.__name__}: {few} calls, then {twice}"
