"""A target stands alone: nothing that the operator has configured is within its reach, and nothing of it is learned."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from llmgate.config.egress import EgressConfig
from llmgate.formats import get_format, read_request
from llmgate.pipeline.targets import Aim, TargetDoor, TargetKey
from llmgate.spec import (
    CredentialHeader,
    InvalidRequestError,
    ModelNotFoundError,
    PermissionDeniedError,
    Principal,
    ProviderError,
    Secret,
    SecretRef,
)
from llmgate.testing.transport import json_answer
from llmgate.wire.transport import AiohttpTransport
from scripted import MESSAGES, Bench, OpenBench, completion, failure

ON = {"target-urls": {"per-second": 1000}}
KEY = TargetKey(Secret("sk-own", callers=True), CredentialHeader("x-api-key", ""))
BODY = json.dumps({"model": "main/gpt,other", "messages": MESSAGES}).encode()


def aimed(b: Bench, url: str = "https://api.groq.com", key: TargetKey | None = KEY) -> Aim:
    door = b.pipeline.snapshot.targets
    assert door is not None
    target = door.read(url, path="/p/chat/completions?a=b", label="mine")
    return door.aim(b.pipeline.snapshot, target, "openai-chat", key)


async def asked(b: Bench, aim: Aim) -> Any:
    frame = b.pipeline.exchange()
    aim(frame)
    async with frame as x:
        return await x.send(read_request(get_format("openai-chat"), BODY))


async def test_a_target_is_asked_for_exactly_what_came(bench: OpenBench) -> None:
    async with bench(completion(), **ON) as b:
        assert (await asked(b, aimed(b))).status == 200
        (sent,) = b.transport.requests
        assert sent.url == "https://api.groq.com/p/chat/completions?a=b"
        assert sent.origin == "https://api.groq.com"
        assert sent.body == BODY, "a name with a slash or a comma means nothing there"
        assert sent.headers["x-api-key"] == "sk-own"
        assert "authorization" not in sent.headers
        (record,) = await b.records()
        assert record.provider_name == "api.groq.com"
        assert record.attempts[0].credential_ref is None


async def test_there_is_no_failover_and_no_route_to_what_is_configured(bench: OpenBench) -> None:
    async with bench(failure(500), completion(), **ON) as b:
        with pytest.raises(ProviderError):
            await asked(b, aimed(b))
        assert b.urls == ["https://api.groq.com/p/chat/completions?a=b"]
        frame = b.pipeline.exchange()
        aimed(b)(frame)
        assert list(frame.snapshot.providers) == ["api.groq.com"]
        assert not frame.snapshot.routers
        with pytest.raises(ModelNotFoundError):
            async with frame as x:
                await x.relay("alpha", read_request(get_format("openai-chat"), BODY))


@pytest.mark.parametrize("key", [KEY, None])
async def test_a_key_that_a_caller_is_bound_to_never_goes_there_whatever_the_host_is_called(
    bench: OpenBench, key: TargetKey | None
) -> None:
    bound = Principal("team", secrets={"alpha": SecretRef("env", "ALPHA_API_KEY")})
    async with bench(completion(), **ON, egress={"allow": ["alpha:443"]}) as b:
        frame = b.pipeline.exchange(principal=bound)
        aimed(b, "https://alpha", key)(frame)
        async with frame as x:
            await x.send(read_request(get_format("openai-chat"), BODY))
        (sent,) = b.transport.requests
        assert sent.headers.get("x-api-key") == (None if key is None else "sk-own")
        assert "authorization" not in sent.headers


async def test_what_becomes_of_it_is_held_against_nobody(bench: OpenBench) -> None:
    async with bench(*[failure(500)] * 3, **ON) as b:
        before = b.pipeline.snapshot
        for _ in range(3):
            with pytest.raises(ProviderError):
                await asked(b, aimed(b))
        assert b.pipeline.snapshot is before
        assert before.aimed is None
        assert not before.failing._until


async def test_its_words_are_the_callers_whatever_is_in_them(bench: OpenBench) -> None:
    said = {"error": {"message": "sk-own is no key of https://api.groq.com"}}
    for key in (KEY, None):
        async with bench(json_answer(said, status=401), **ON, egress={"allow": ["api.groq.com:443"]}) as b:
            with pytest.raises(ProviderError) as caught:
                await asked(b, aimed(b, key=key))
            assert caught.value.http_status == 401
            assert json.loads(caught.value.body or b"") == said


async def test_a_reload_keeps_the_door_and_its_connections(bench: OpenBench) -> None:
    async with bench(**ON) as b:
        door = b.pipeline.snapshot.targets
        await b.pipeline.reload()
        assert b.pipeline.snapshot.targets is door
    async with bench() as b:
        assert b.pipeline.snapshot.targets is None


@pytest.mark.parametrize("url", ["https://127.0.0.1", "https://[::1]", "https://10.0.0.1:1", "http://api.groq.com"])
async def test_what_no_caller_may_choose_is_refused_unless_it_is_listed(url: str) -> None:
    door = TargetDoor(EgressConfig())
    target = door.read(url, path="/", label="")
    with pytest.raises(PermissionDeniedError) as caught:
        door.admit(target)
    assert caught.value.code == "target_not_allowed"
    listed = TargetDoor(EgressConfig([f"{'[::1]' if ':' in target.host else target.host}:{target.port}"]))
    listed.admit(target)
    assert listed.is_listed(target)
    assert not door.is_listed(target)


async def test_a_target_is_https_and_a_host() -> None:
    door = TargetDoor(EgressConfig())
    door.admit(door.read("https://api.groq.com/openai", path="/", label=""))
    with pytest.raises(InvalidRequestError, match="Helicone-Target-URL is refused") as caught:
        door.read("https://127.1", path="/", label="")
    assert caught.value.code == "invalid_target_url"


async def test_the_door_has_connections_of_its_own(bench: OpenBench) -> None:
    async with bench(**ON) as b:
        placed = next(one for one in b.pipeline.snapshot.placed if one.kind == "target-door")
        assert aimed(b).runtime.transport is b.transport, "what an application brings serves here, too"
        door = TargetDoor(EgressConfig())
        shared = AiohttpTransport()
        await door.open(attrs.evolve(placed.context, transport=shared))
        aim = door.aim(b.pipeline.snapshot, door.read("https://a.example", path="/", label=""), None, None)
        assert isinstance(aim.runtime.transport, AiohttpTransport)
        assert aim.runtime.transport is not shared
        await door.aclose()
        await door.aclose()
        await shared.aclose()


@pytest.mark.parametrize(
    ("url", "own", "known"),
    [
        ("https://api.openai.com", {}, True),
        ("https://api.openai.com.attacker.example", {}, False),
        ("https://llm.example", {}, False),
        ("https://llm.example", {"llm.example/*": {"input": 1, "output": 2}}, True),
    ],
)
async def test_what_it_cost_is_reckoned_where_the_vendor_is_known(
    bench: OpenBench, url: str, own: dict[str, Any], known: bool
) -> None:
    body = json.dumps({"model": "gpt-4o-mini", "messages": MESSAGES}).encode()
    async with bench(completion(), **ON, prices={"models": own}) as b:
        frame = b.pipeline.exchange()
        aimed(b, url)(frame)
        async with frame as x:
            await x.send(read_request(get_format("openai-chat"), body))
        (record,) = await b.records()
        assert record.usage is not None
        assert (record.cost_nano is not None) == known, "a price that is not known is said to be unknown"
