from __future__ import annotations

from typing import Any

import pytest

from llmgate.pipeline.chain import Chain
from llmgate.spec import (
    Aspect,
    Attempt,
    Deployment,
    Exchange,
    ExchangeView,
    GatewayChunk,
    GatewayRequest,
    GatewayResponse,
    Interceptor,
    NoConfig,
    Operation,
    Outcome,
    PermissionDeniedError,
    Provider,
    ProviderRow,
)
from llmgate.testing.clock import FakeClock

PROVIDER = Provider("p", ProviderRow("p", "P", None), "https://p.test/v1")
VIEW = ExchangeView(Exchange("id", Operation.CHAT, "test", 0.0, 0.0))
REQUEST = GatewayRequest(Operation.CHAT, "openai-chat", b"{}", "m", stream=False)
ANSWER = GatewayResponse("openai-chat", b"{}", Outcome())


def deployment(model: str) -> Deployment:
    return Deployment(f"p/{model}", PROVIDER, model)


class Watcher(Interceptor[Any]):
    """Writes down every phase."""

    name = "watcher"
    reads = frozenset({Aspect.STREAM})

    def __init__(self, label: str, seen: list[str]) -> None:
        super().__init__(NoConfig())
        self.label, self.seen = label, seen

    async def before_request(self, exchange: Any, request: Any) -> Any:
        self.seen.append(f"{self.label} before_request")

    async def before_attempt(self, exchange: Any, attempt: Any) -> bool:
        self.seen.append(f"{self.label} before_attempt")
        return True

    async def after_attempt(self, exchange: Any, attempt: Any) -> None:
        self.seen.append(f"{self.label} after_attempt")

    def on_chunk(self, exchange: Any, chunk: GatewayChunk) -> GatewayChunk:
        self.seen.append(f"{self.label} on_chunk")
        return chunk

    async def after_response(self, exchange: Any, response: Any) -> Any:
        self.seen.append(f"{self.label} after_response")
        return response

    async def on_settle(self, exchange: Any) -> None:
        self.seen.append(f"{self.label} on_settle")


async def test_an_empty_chain_changes_nothing_and_has_nothing_to_do() -> None:
    chain = Chain([Interceptor(NoConfig())])
    assert not any((chain.watches_attempts, chain.reads_stream, chain.settles))
    entered = [0]
    assert await chain.before_request(VIEW, REQUEST, entered) is REQUEST
    assert entered == [1]
    assert await chain.after_response(VIEW, ANSWER, 1) is ANSWER


async def test_the_way_in_is_in_written_order_and_the_way_out_in_reverse() -> None:
    seen: list[str] = []
    chain = Chain([Watcher("a", seen), Watcher("b", seen)])
    attempt, passed, entered = Attempt(0, deployment("m"), 0.0), [0], [0]
    await chain.before_request(VIEW, REQUEST, entered)
    assert await chain.before_attempt(VIEW, attempt, passed)
    await chain.after_attempt(VIEW, attempt, passed[0])
    chain.on_chunk(VIEW, GatewayChunk())
    await chain.after_response(VIEW, ANSWER, entered[0])
    await chain.on_settle(VIEW, entered[0])
    assert seen == [
        "a before_request",
        "b before_request",
        "a before_attempt",
        "b before_attempt",
        "b after_attempt",
        "a after_attempt",
        "b on_chunk",
        "a on_chunk",
        "b after_response",
        "a after_response",
        "b on_settle",
        "a on_settle",
    ]


async def test_closing_phases_run_only_for_interceptors_that_were_entered() -> None:
    seen: list[str] = []

    class Refuser(Watcher):
        async def before_request(self, exchange: Any, request: Any) -> Any:
            raise PermissionDeniedError("no")

    chain = Chain([Watcher("a", seen), Refuser("b", seen), Watcher("c", seen)])
    entered = [0]
    with pytest.raises(PermissionDeniedError):
        await chain.before_request(VIEW, REQUEST, entered)
    seen.clear()
    await chain.on_settle(VIEW, entered[0])
    assert seen == ["b on_settle", "a on_settle"]


async def test_after_attempt_runs_only_for_those_that_let_it_through() -> None:
    seen: list[str] = []

    class Skipper(Watcher):
        async def before_attempt(self, exchange: Any, attempt: Any) -> bool:
            return False

    chain = Chain([Watcher("a", seen), Skipper("b", seen), Watcher("c", seen)])
    attempt, passed = Attempt(0, deployment("m"), 0.0), [0]
    assert not await chain.before_attempt(VIEW, attempt, passed)
    await chain.after_attempt(VIEW, attempt, passed[0])
    assert seen == ["a before_attempt", "a after_attempt"]


async def test_one_that_fails_to_release_does_not_keep_the_others_from_it() -> None:
    seen: list[str] = []

    class Failing(Watcher):
        async def after_attempt(self, exchange: Any, attempt: Any) -> None:
            raise RuntimeError("no")

    chain = Chain([Watcher("a", seen), Failing("b", seen)])
    failures = await chain.after_attempt(VIEW, Attempt(0, deployment("m"), 0.0), 2)
    assert [str(failure) for failure in failures] == ["no"]
    assert seen == ["a after_attempt"]


async def test_an_answer_ends_the_way_in() -> None:
    seen: list[str] = []

    class Answerer(Watcher):
        async def before_request(self, exchange: Any, request: Any) -> Any:
            return ANSWER

    chain = Chain([Answerer("a", seen), Watcher("b", seen)])
    entered = [0]
    assert await chain.before_request(VIEW, REQUEST, entered) is ANSWER
    assert (seen, entered) == ([], [1])


async def test_no_interceptor_can_add_a_candidate() -> None:
    class Adder(Interceptor[Any]):
        async def on_route(self, exchange: Any, deployments: Any) -> Any:
            return [deployment("smuggled"), *reversed(deployments)]

    chain = Chain([Adder(NoConfig())])
    kept = await chain.on_route(VIEW, [deployment("x"), deployment("y")])
    assert [one.model for one in kept] == ["y", "x"]


async def test_one_that_fails_to_settle_does_not_keep_the_others_from_it() -> None:
    seen: list[str] = []

    class Failing(Watcher):
        async def on_settle(self, exchange: Any) -> None:
            raise ValueError("broken")

    chain = Chain([Watcher("a", seen), Failing("b", seen)])
    failures = await chain.on_settle(VIEW, 2)
    assert [str(one) for one in failures] == ["broken"]
    assert seen == ["a on_settle"]


def test_a_chunk_that_is_withheld_reaches_nobody_further_out() -> None:
    seen: list[str] = []

    class Withholder(Watcher):
        def on_chunk(self, exchange: Any, chunk: GatewayChunk) -> Any:
            return None

    chain = Chain([Watcher("a", seen), Withholder("b", seen)])
    assert chain.on_chunk(VIEW, GatewayChunk()) is None
    assert seen == []


def test_a_stream_is_read_only_by_interceptors_that_say_so() -> None:
    class Quiet(Watcher):
        reads = frozenset({Aspect.META})

    assert not Chain([Quiet("a", [])]).reads_stream
    assert Chain([Watcher("a", [])]).reads_stream


async def test_the_bytes_that_go_down_are_shown_to_those_who_watch_them_and_were_entered() -> None:
    seen: list[tuple[str, bytes]] = []

    class Taking(Watcher):
        def on_sent(self, exchange: Any, data: bytes) -> None:
            seen.append((self.label, data))

    chain = Chain([Taking("a", []), Watcher("b", []), Taking("c", [])])
    chain.on_sent(VIEW, b"x", 1)
    chain.on_sent(VIEW, b"y", 3)
    assert seen == [("a", b"x"), ("a", b"y"), ("c", b"y")]
    assert chain.watches_bytes
    assert not Chain([Watcher("a", [])]).watches_bytes


def test_a_phase_that_an_instance_needs_not_is_not_called() -> None:
    one = Watcher("a", [])
    assert Chain([one]).watches_attempts
    one.skips = frozenset({"before_attempt", "after_attempt"})
    chain = Chain([one])
    assert not chain.watches_attempts
    assert chain.settles


@pytest.mark.parametrize(
    ("said", "verdicts"),
    [
        (None, ["passed", "passed"]),
        (REQUEST.labelled(a="b"), ["changed", "passed"]),
        (ANSWER, ["answered"]),
        (PermissionDeniedError("no"), ["permission_denied"]),
        (KeyError("x"), ["failed"]),
    ],
)
async def test_what_each_said_and_how_long_it_took_can_be_measured(said: Any, verdicts: list[str]) -> None:
    clock = FakeClock()

    class Says(Interceptor[Any]):
        name = "says"

        async def before_request(self, exchange: Any, request: Any) -> Any:
            clock.advance(0.001)
            if isinstance(said, Exception):
                raise said
            return said

    class Silent(Interceptor[Any]):
        name = "silent"

        async def before_request(self, exchange: Any, request: Any) -> Any:
            return None

    chain = Chain([Says(NoConfig()), Silent(NoConfig())])
    exchange = Exchange("id", Operation.CHAT, "test", 0.0, 0.0, steps=[])
    entered = [0]
    if isinstance(said, Exception):
        with pytest.raises(type(said)):
            await chain.measured(exchange, VIEW, REQUEST, entered, clock)
    else:
        answer = await chain.measured(exchange, VIEW, REQUEST, entered, clock)
        assert answer is (REQUEST if said is None else said)
    assert exchange.steps is not None
    assert [one.verdict for one in exchange.steps] == verdicts
    assert [one.stage for one in exchange.steps] == ["says", "silent"][: len(verdicts)]
    assert exchange.steps[0].microseconds == 1000
    assert entered == [len(verdicts)]
