"""Two requests share an answer only where each would do with the other's."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from llmgate.formats import get_format, read_request
from llmgate.spec import GatewayRequest, Operation, Principal
from llmgate.stages.interceptors.cache.keys import request_key
from llmgate.testing.samples import sample_exchange, sample_view

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        "tools",
        "response_format",
        "temperature",
        "seed",
        "stop",
        "logit_bias",
        "messages",
        "user",
        "x",
        "top_p",
        "metadata",
    ]
)


def request(body: Any = None, **fields: Any) -> GatewayRequest:
    data = body if isinstance(body, bytes) else json.dumps(BODY if body is None else body).encode()
    return GatewayRequest(
        **{"operation": Operation.CHAT, "format": "openai-chat", "body": data, "model": "m", "stream": False, **fields}
    )


def key(
    asked: GatewayRequest | None = None, *, shared: bool = False, seed: Any = ("", ""), ignored: Any = (), **fields: Any
) -> str:
    asked = asked or request()
    view = sample_view(sample_exchange(asked, **{"principal": Principal("alice", "keys"), **fields}))
    return request_key(view, asked, view.controls, seed, ignored, shared=shared)


@given(FIELDS, JSON, JSON)
def test_any_changed_field_of_the_body_changes_the_key(name: str, one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (key(request({**BODY, name: one})) == key(request({**BODY, name: other}))) is same
    assert key(request({**BODY, name: {"it": one}})) != key(request({k: v for k, v in BODY.items() if k != name}))


@given(st.permutations(list({**BODY, "a": 1, "b": {"c": 1, "d": 2}}.items())), st.sampled_from([None, 2]))
def test_order_and_space_change_nothing(items: list[tuple[str, Any]], indent: int | None) -> None:
    plain = key(request({**BODY, "a": 1, "b": {"d": 2, "c": 1}}))
    assert key(request(json.dumps(dict(items), indent=indent).encode())) == plain


@pytest.mark.parametrize("streams", [False, True])
def test_a_stream_counts_as_what_it_means(streams: bool) -> None:
    said = [key(request({**BODY, "stream": value}, stream=streams)) for value in (streams, None, not streams, 0, "no")]
    silent = key(request(stream=streams))
    assert said[0] == silent
    assert (said[1] == silent) is not streams, "null is no stream"
    assert len({silent, *said[2:]}) == 4, "what contradicts, or is no switch, is something else"


@pytest.mark.parametrize(
    "changed",
    [
        request(model="n"), request(stream=True), request(include_usage=True), request(format="anthropic-messages"),
        request(operation=Operation.TEXT_COMPLETION), request(headers={"anthropic-beta": "x"}),
        request().edited(max_output_tokens=5), request(b"no json"), request(b"[]"),
    ],
)  # fmt: skip
def test_what_the_request_is_besides_its_body_counts(changed: GatewayRequest) -> None:
    assert key(changed) != key()


@pytest.mark.parametrize(
    "fields",
    [
        {"principal": Principal("bob", "keys")},
        {"principal": Principal("alice", "other")},
        {"principal": Principal("alice", "keys", kind="team")},
        {"principal": Principal("alice", "keys", models=("m",))},
        {"router": "r"},
        {"client_headers": {"helicone-fallbacks": "[]"}},
        {"client_headers": {"helicone-forced-routing": "openai"}},
        {"client_headers": {"llmgate-tags": "region:eu"}},
        {"seed": ("s", "")},
        {"seed": ("", "s")},
        {"ignored": ("user",)},
        {"shared": True},
    ],
)
def test_who_asks_and_how_counts(fields: dict[str, Any]) -> None:
    assert key(**fields) != key()


def test_shared_answers_are_shared_by_those_who_may_call_the_same_models() -> None:
    shared = key(shared=True)
    assert key(shared=True, principal=Principal("bob", "other")) == shared
    assert key(shared=True, principal=Principal("bob", "other", models=("m",))) != shared
    denied = Principal("bob", "other", denied_models=("m",))
    assert key(shared=True, principal=denied) != shared, "nobody gets what he may not ask for from another's answer"
    assert key(principal=attrs.evolve(denied, denied_models=())) == key(principal=denied), "apart, they are apart"


def test_a_credential_and_what_differs_from_call_to_call_do_not_count() -> None:
    headers = {
        "authorization": "Bearer secret",
        "cache-control": "max-age=5",
        "helicone-session-id": "1",
        "x-api-key": "k",
    }
    assert key(client_headers=headers) == key()
    assert key(request(headers={"idempotency-key": "1"})) == key()
    assert key(attrs.evolve(request(), metadata={"team": "blue"})) == key()


@given(
    st.dictionaries(st.text(max_size=3).map("x{}".format), JSON, max_size=4),
    st.sampled_from([(), ("user",), ("messages", "a")]),
)
def test_what_has_been_read_gives_the_key_of_its_bytes(more: dict[str, Any], ignored: tuple[str, ...]) -> None:
    body = json.dumps({**more, **BODY}).encode()
    read = read_request(get_format("openai-chat"), body)
    assert read.top_values() is not None
    once_read = key(read, ignored=ignored)
    assert once_read == key(request(body), ignored=ignored) == key(read, ignored=ignored)
    assert read.chat.model == "m", "nothing of it has been changed by looking at it"
    assert key(read.edited(temperature=1)) == key(attrs.evolve(request(body), edits={"temperature": 1}))
    assert attrs.evolve(read, body=b"{}").top_values() is None, "it belongs to one body only"


def test_ignored_fields_do_not_count_and_the_model_always_does() -> None:
    ignored = ("model", "user")
    one, other = request({**BODY, "user": "a"}), request({**BODY, "user": "b"})
    assert key(one, ignored=ignored) == key(other, ignored=ignored)
    assert key(attrs.evolve(one, model="n"), ignored=ignored) != key(one, ignored=ignored)


def test_parts_cannot_be_moved_over_their_borders() -> None:
    assert key(seed=("a", "b")) != key(seed=("ab", ""))
    assert key(router="r", seed=("", "")) != key(router=None, seed=("r", ""))
    assert len(key()) == 64
