"""A session in process: opened like any request, relayed, looked into where it must be, recorded once."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from llmgate.spec import (
    GatewayRequest,
    GatewayResponse,
    Interceptor,
    InvalidRequestError,
    ModelNotFoundError,
    Operation,
    Outcome,
    PermissionDeniedError,
    Principal,
    ProviderConnectionError,
    ProviderProtocolError,
    ProviderResponse,
    RateLimitError,
    RelayTarget,
    SocketClose,
    SocketMessage,
    hookimpl,
)
from llmgate.testing.sockets import ScriptedSocket
from scripted import OpenBench


def asking(model: str = "alpha/m", *, query: str = "model=x&a=1", **fields: Any) -> GatewayRequest:
    given = {"operation": Operation.REALTIME, "format": "openai-realtime", **fields}
    relay = RelayTarget("GET", query, session=given["format"])
    return GatewayRequest(body=b"", model=model, stream=True, relay=relay, **given)


async def test_a_session_is_one_exchange_with_one_record(bench: OpenBench) -> None:
    done = {"type": "response.done", "response": {"usage": {"input_tokens": 3, "output_tokens": 4}}}
    upstream = ScriptedSocket(json.dumps(done), b"binary", SocketClose(1000), headers={"x-request-id": "up-1"})
    async with bench(upstream) as b:
        async with b.pipeline.exchange() as x:
            session = await x.session(asking(headers={"openai-beta": "realtime=v1"}), subprotocols=("realtime",))
            assert await session.send(SocketMessage(b"hello")) is None
            assert isinstance(await session.receive(), SocketMessage)
            assert isinstance(await session.receive(), SocketMessage)
            assert await session.receive() == SocketClose(1000)
        (sent,) = b.transport.requests
        assert sent.url == "https://alpha.test/v1/realtime?model=m&a=1"
        assert sent.headers["authorization"] == "Bearer key-of-alpha"
        assert sent.headers["openai-beta"] == "realtime=v1"
        assert b.transport.options[0].subprotocols == ("realtime",)
        assert [message.data for message in upstream.sent] == [b"hello"]
        assert upstream.ended is not None
        (record,) = await b.records()
    assert (record.outcome, record.status, record.provider_name) == ("ok", 101, "alpha")
    assert record.attempts[0].provider_request_id == "up-1"
    assert record.usage is not None
    assert record.usage.total_tokens == 7


async def test_a_session_left_open_is_closed_and_its_caller_said_to_have_left(bench: OpenBench) -> None:
    upstream = ScriptedSocket()
    async with bench(upstream) as b:
        async with b.pipeline.exchange() as x:
            await x.session(asking())
        assert upstream.ended == SocketClose(1001)
        (record,) = await b.records()
    assert record.outcome == "cancelled"


@pytest.mark.parametrize("status", [200, 302, 401, 429, 500])
async def test_the_next_provider_is_asked(bench: OpenBench, status: int) -> None:
    refusal = ProviderResponse(status, {"retry-after": "9"}, b'{"error":{"message":"no"}}')
    async with bench(refusal, ScriptedSocket(SocketClose())) as b:
        async with b.pipeline.exchange() as x:
            session = await x.session(asking("m", router="main"))
            await session.receive()
        (record,) = await b.records()
    assert [attempt.status for attempt in record.attempts] == [status, 101]
    assert record.provider_name == "beta"


async def test_a_request_that_is_wrong_everywhere_is_not_repeated(bench: OpenBench) -> None:
    async with bench(ProviderResponse(400, {}, b'{"error":{"message":"bad model"}}')) as b:
        with pytest.raises(Exception, match="bad model"):
            async with b.pipeline.exchange() as x:
                await x.session(asking("m", router="main"))
        assert len(b.transport.requests) == 1


async def test_a_broken_session_is_recorded_as_incomplete(bench: OpenBench) -> None:
    async with bench(ScriptedSocket("x", ProviderConnectionError("gone"))) as b:
        with pytest.raises(ProviderConnectionError):
            async with b.pipeline.exchange() as x:
                session = await x.session(asking())
                while True:
                    await session.receive()
        (record,) = await b.records()
    assert record.outcome == "incomplete"


async def test_what_cannot_be_sent_breaks_the_session_too(bench: OpenBench) -> None:
    async with bench(ScriptedSocket(failure=ProviderConnectionError("gone"))) as b:
        with pytest.raises(ProviderConnectionError):
            async with b.pipeline.exchange() as x:
                await (await x.session(asking())).send(SocketMessage(b"x"))
        (record,) = await b.records()
    assert record.error_code == "provider_unreachable"


async def said(opened: Any, /, **event: Any) -> dict[str, Any]:
    """What answers an event that is refused; the error in it."""
    answer = await opened.send(SocketMessage(json.dumps(event).encode()))
    assert answer is not None
    error: dict[str, Any] = json.loads(answer.data)["error"]
    return error


async def test_an_unrestricted_caller_may_say_what_it_likes(bench: OpenBench) -> None:
    upstream = ScriptedSocket()
    async with bench(upstream) as b, b.pipeline.exchange() as x:
        session = await x.session(asking("m", router="main"))
        for data in (b'{"session":{"model":"other"}}', b'{"model":1,"model":2}'):
            assert await session.send(SocketMessage(data)) is None
        assert [message.data for message in upstream.sent] == [
            b'{"session":{"model":"other"}}',
            b'{"model":1,"model":2}',
        ]


async def test_a_restricted_caller_may_not_leave_its_models(bench: OpenBench) -> None:
    who = Principal("ann", models=["alpha/m", "alpha/n"])
    upstream = ScriptedSocket()
    async with bench(upstream) as b, b.pipeline.exchange(principal=who) as x:
        session = await x.session(asking())
        error = await said(session, type="session.update", session={"model": "forbidden"})
        assert (error["code"], error["param"]) == ("model_not_allowed", "session.model")
        error = await said(session, session={"audio": {"input": {"transcription": {"model": "forbidden"}}}})
        assert error["param"] == "session.audio.input.transcription.model"
        twice = await session.send(SocketMessage(b'{"session":{"model":"m","model":"forbidden"}}'))
        assert twice is not None
        for allowed in (b'{"session":{"model":"n"}}', b'{"session":{"model":"m"}}', b"\xff not json"):
            assert await session.send(SocketMessage(allowed)) is None
    assert len(upstream.sent) == 3


async def test_a_restricted_caller_is_not_let_in_with_another_model(bench: OpenBench) -> None:
    async with bench() as b:
        with pytest.raises(PermissionDeniedError):
            async with b.pipeline.exchange(principal=Principal("ann", models=["alpha/n"])) as x:
                await x.session(asking())


async def test_a_session_that_has_one_model_keeps_it(bench: OpenBench) -> None:
    upstream = ScriptedSocket()
    fields = {"operation": Operation.RESPONSES_SESSION, "format": "openai-responses"}
    async with bench(upstream) as b, b.pipeline.exchange() as x:
        session = await x.session(asking(query="", **fields))
        assert b.transport.requests[0].url == "https://alpha.test/v1/responses"
        assert (await said(session, type="response.create", model="n"))["code"] == "session_model_fixed"
        assert await session.send(SocketMessage(b'{"type":"response.create","model":"alpha/m"}')) is None
        assert upstream.sent[0].data == b'{"type":"response.create","model":"m"}'


async def test_a_restricted_caller_must_say_each_time_which_model_it_wants(bench: OpenBench) -> None:
    fields = {"operation": Operation.RESPONSES_SESSION, "format": "openai-responses"}
    who = Principal("ann", models=["alpha/m"])
    for principal, refused in ((who, True), (None, False)):
        upstream = ScriptedSocket()
        async with bench(upstream) as b, b.pipeline.exchange(principal=principal) as x:
            session = await x.session(asking(query="", **fields))
            answer = await session.send(SocketMessage(b'{"type":"response.create","prompt":{"id":"p"}}'))
        assert (answer is not None, len(upstream.sent)) == (refused, not refused)


class Watching(Interceptor[Any]):
    """Writes down what it is asked, and does what a test says."""

    name = "watching"
    steps: ClassVar[list[str]] = []
    refusal: ClassVar[Exception | None] = None
    answer: ClassVar[GatewayResponse | None] = None
    skipped: ClassVar[str] = ""

    async def before_request(self, exchange: Any, request: GatewayRequest) -> GatewayResponse | None:
        self.steps.append(f"before_request {request.operation} {request.model}")
        if self.refusal is not None:
            raise self.refusal
        return self.answer

    async def on_route(self, exchange: Any, deployments: Any) -> Any:
        self.steps.append("on_route")
        return deployments

    async def before_attempt(self, exchange: Any, attempt: Any) -> bool:
        self.steps.append(f"before {attempt.deployment.id}")
        return bool(attempt.deployment.provider_name != self.skipped)

    async def after_attempt(self, exchange: Any, attempt: Any) -> None:
        usage = attempt.outcome.usage
        self.steps.append(f"after {attempt.deployment.id} {usage and usage.total_tokens}")

    async def on_settle(self, exchange: Any) -> None:
        self.steps.append("on_settle")


class WatchingPlugin:
    @hookimpl
    def llmgate_register_interceptors(self) -> Any:
        return Watching


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(Watching, "steps", [])
    return {"plugins": (WatchingPlugin(),), "interceptors": [{"use": "watching"}]}


async def test_interceptors_see_a_session_as_one_request(
    bench: OpenBench, watching: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watching, "skipped", "alpha")
    done = {"type": "response.done", "response": {"usage": {"input_tokens": 3, "output_tokens": 4}}}
    upstream = ScriptedSocket(json.dumps(done), json.dumps(done), SocketClose(1000))
    async with bench(upstream, **watching) as b, b.pipeline.exchange() as x:
        session = await x.session(asking("m", router="main"))
        while not isinstance(await session.receive(), SocketClose):
            pass
    assert Watching.steps == [
        "before_request realtime m",
        "on_route",
        "before alpha/m",
        "before beta/m",
        "after beta/m 14",
        "on_settle",
    ]


async def test_an_interceptor_may_refuse_a_session_but_not_answer_it(
    bench: OpenBench, watching: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(**watching) as b:
        monkeypatch.setattr(Watching, "refusal", RateLimitError("enough"))
        with pytest.raises(RateLimitError):
            async with b.pipeline.exchange() as x:
                await x.session(asking())
        monkeypatch.setattr(Watching, "refusal", None)
        monkeypatch.setattr(Watching, "answer", GatewayResponse("openai-chat", b"{}", Outcome()))
        with pytest.raises(InvalidRequestError) as caught:
            async with b.pipeline.exchange() as x:
                await x.session(asking())
        assert caught.value.code == "session_not_answerable"
        assert b.transport.requests == []


async def test_a_transport_without_websockets_is_passed_over(bench: OpenBench) -> None:
    async with bench() as b:
        b.transport.__class__ = type("Plain", (), {"aclose": b.transport.__class__.aclose})
        with pytest.raises(ProviderProtocolError, match="no WebSockets"):
            async with b.pipeline.exchange() as x:
                await x.session(asking())


async def test_a_provider_without_such_sessions_is_no_candidate(bench: OpenBench) -> None:
    providers = {"anthropic": {"base-url": "https://alpha.test/v1", "secret": "env:ALPHA_API_KEY"}}
    async with bench(providers=providers, routers={}) as b:
        with pytest.raises(ModelNotFoundError, match="does not serve realtime"):
            async with b.pipeline.exchange() as x:
                await x.session(asking("anthropic/claude"))
