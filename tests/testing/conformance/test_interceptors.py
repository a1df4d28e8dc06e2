"""The kit tells interceptors that keep what they take, or touch what they did not declare, from those that do not."""

from __future__ import annotations

import attrs
import pytest

from llmgate.spec import Aspect, Interceptor, NoConfig, PermissionDeniedError
from llmgate.testing.clock import FakeClock
from llmgate.testing.conformance.interceptors import InterceptorConformance
from llmgate.testing.samples import sample_deployment

ALL = [
    "test_every_phase_runs",
    "test_a_request_is_answered_in_one_of_three_ways",
    "test_reads_no_body_unless_it_says_so",
    "test_candidates_are_narrowed_or_reordered_only",
    "test_chunks_are_left_alone_unless_it_says_so",
    "test_what_is_reserved_is_given_back",
    "test_a_caller_may_leave_at_any_time",
    "test_exchanges_do_not_mix",
]


class Slots(Interceptor[NoConfig]):
    """Lets sixty attempts run at once."""

    name = "slots"

    def __init__(self, config):
        super().__init__(config)
        self.held = set()

    async def before_attempt(self, exchange, attempt):
        if len(self.held) >= 60:
            return False
        self.held.add(exchange.id)
        return True

    async def after_attempt(self, exchange, attempt):
        self.held.discard(exchange.id)

    async def on_settle(self, exchange):
        self.held.discard(exchange.id)


class Leaks(Slots):
    async def on_settle(self, exchange):
        pass


class Reads(Slots):
    async def before_request(self, exchange, request):
        if request.chat.max_output_tokens:
            raise PermissionDeniedError("no")


class Edits(Slots):
    async def before_request(self, exchange, request):
        return request.edited(temperature=0)


class Adds(Slots):
    async def on_route(self, exchange, deployments):
        return [*deployments, sample_deployment("made/up")]


class Changes(Slots):
    def on_chunk(self, exchange, chunk):
        return attrs.evolve(chunk, id="changed")


class Wrong(Slots):
    async def before_request(self, exchange, request):
        return "yes"


class Refuses(Slots):
    async def before_request(self, exchange, request):
        raise PermissionDeniedError("no")


def declared(stage_class, **aspects):
    return type(stage_class.__name__, (stage_class,), aspects)


async def run(stage_class, test, tmp_path):
    subject = type("Kit", (InterceptorConformance,), {"stage_class": stage_class})()
    await getattr(subject, test)(subject.make_context(tmp_path, FakeClock()))


@pytest.mark.parametrize("test", ALL)
async def test_a_sound_interceptor_passes(test, tmp_path):
    await run(Slots, test, tmp_path)


@pytest.mark.parametrize(
    ("stage_class", "test", "message"),
    [
        (Leaks, "test_a_caller_may_leave_at_any_time", "give back in on_settle"),
        (Reads, "test_reads_no_body_unless_it_says_so", "to `reads`"),
        (Edits, "test_reads_no_body_unless_it_says_so", "to `writes`"),
        (Adds, "test_candidates_are_narrowed_or_reordered_only", "made/up"),
        (Changes, "test_chunks_are_left_alone_unless_it_says_so", "to `writes`"),
        (Wrong, "test_a_request_is_answered_in_one_of_three_ways", "yes"),
        (Refuses, "test_every_phase_runs", "the plain request was refused: no"),
    ],
)
async def test_a_fault_is_found(stage_class, test, message, tmp_path):
    with pytest.raises(AssertionError, match=message):
        await run(stage_class, test, tmp_path)


async def test_what_is_declared_is_allowed(tmp_path):
    both = frozenset({Aspect.META, Aspect.REQUEST})
    await run(declared(Reads, reads=both), "test_reads_no_body_unless_it_says_so", tmp_path)
    await run(declared(Edits, reads=both, writes=both), "test_reads_no_body_unless_it_says_so", tmp_path)
    streams = frozenset({Aspect.STREAM})
    await run(declared(Changes, writes=streams), "test_chunks_are_left_alone_unless_it_says_so", tmp_path)


def test_aspects_are_aspects():
    subject = type("Kit", (InterceptorConformance,), {"stage_class": declared(Slots, reads={"stream"})})()
    with pytest.raises(AssertionError):
        subject.test_says_what_it_reads_and_writes()
