"""Plausible values for tests: deployments, exchanges, requests, answers, records."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from llmgate.spec import (
    Attempt,
    AttemptRecord,
    ChatChoice,
    ChatRequest,
    ChatResponse,
    ChoiceDelta,
    Deployment,
    Exchange,
    ExchangeView,
    FinishReason,
    GatewayChunk,
    GatewayRequest,
    GatewayResponse,
    Message,
    Operation,
    Outcome,
    Price,
    Principal,
    Provider,
    ProviderRow,
    Record,
    Role,
    Text,
    Usage,
)

__all__ = [
    "sample_attempt",
    "sample_chunk",
    "sample_deployment",
    "sample_exchange",
    "sample_record",
    "sample_request",
    "sample_response",
    "sample_view",
]

_numbers = itertools.count(1)


@attrs.frozen
class _Prices:
    """The same price for every model, or those of some."""

    given: Price | Mapping[str, Price]

    def price_of(self, model: str) -> Price | None:
        return self.given if isinstance(self.given, Price) else self.given.get(model)


def sample_deployment(
    id: str = "openai/gpt-4o-mini",  # noqa: A002 - the field's word
    *,
    weight: float = 1.0,
    price: Price | Mapping[str, Price] | None = None,
) -> Deployment:
    """A deployment of that id, ``provider/model``; ``price`` is that of every model of the provider, or of some."""
    provider, _, model = id.partition("/")
    row = ProviderRow(name=provider, title=provider, base_url="https://provider.invalid/v1")
    return Deployment(
        id=id,
        provider=Provider(
            name=provider,
            row=row,
            base_url="https://provider.invalid/v1",
            prices=None if price is None else _Prices(price),
        ),
        model=model,
        weight=weight,
    )


def sample_request(
    model: str = "gpt-4o-mini", *, decode: Callable[[bytes], ChatRequest] | None = None, **fields: Any
) -> GatewayRequest:
    """A chat request; ``fields`` are those of its ``ChatRequest``, such as ``max_output_tokens``."""
    chat = ChatRequest(
        **{"model": model, "messages": (Message(Role.USER, (Text("hello"),)),), **fields},
    )
    return GatewayRequest(
        operation=Operation.CHAT,
        format="openai-chat",
        body=b'{"model":"%s","messages":[{"role":"user","content":"hello"}]}' % model.encode(),
        model=model,
        stream=chat.stream,
        decode=decode or (lambda _: chat),
    )


def sample_exchange(request: GatewayRequest | None = None, **fields: Any) -> Exchange:
    """An exchange with an id of its own, authenticated, its request read; ``fields`` are those of ``Exchange``."""
    values: dict[str, Any] = {
        "id": f"00000000-0000-7000-8000-{next(_numbers):012d}",
        "operation": Operation.CHAT,
        "surface": "in-process",
        "started_at": 1_700_000_000.0,
        "started": 1000.0,
        "principal": Principal.local(),
        "request": request or sample_request(),
    }
    return Exchange(**{**values, **fields})


def sample_view(exchange: Exchange | None = None) -> ExchangeView:
    """What a stage sees of an exchange."""
    return ExchangeView(exchange or sample_exchange())


def sample_attempt(deployment: Deployment | None = None, **fields: Any) -> Attempt:
    """An attempt that began at the sample exchange's start; ``fields`` are those of ``Attempt``."""
    values: dict[str, Any] = {"index": 0, "deployment": deployment or sample_deployment(), "started": 1000.0}
    return Attempt(**{**values, **fields})


def sample_chunk(text: str = "hello", *, index: int = 0, **fields: Any) -> GatewayChunk:
    """A chunk of streamed text; ``fields`` are those of ``GatewayChunk``."""
    values: dict[str, Any] = {
        "choices": (ChoiceDelta(index=index, parts=(Text(text),)),),
        "id": "chatcmpl-1",
        "model": "gpt-4o-mini",
        "raw": b"data: {}\n\n",
    }
    return GatewayChunk(**{**values, **fields})


def sample_response(text: str = "hello", **fields: Any) -> GatewayResponse:
    """A whole answer with that text; ``fields`` are those of ``GatewayResponse``."""
    message = Message(Role.ASSISTANT, (Text(text),))
    chat = ChatResponse(
        id="chatcmpl-1",
        model="gpt-4o-mini",
        choices=(ChatChoice(0, message, FinishReason.STOP),),
        usage=Usage(input_tokens=9, output_tokens=3),
        created=1_700_000_000,
    )
    values: dict[str, Any] = {
        "format": "openai-chat",
        "body": b'{"id":"chatcmpl-1","object":"chat.completion","choices":[]}',
        "outcome": Outcome(finish_reason=FinishReason.STOP, content=True, complete=True, usage=chat.usage),
        "decode": lambda _: chat,
    }
    return GatewayResponse(**{**values, **fields})


_ATTEMPT_RECORD = AttemptRecord(
    deployment="openai/gpt-4o-mini",
    provider_name="openai",
    model="gpt-4o-mini",
    started=0.001,
    duration=0.4,
    first_content=0.2,
    status=200,
    error_code=None,
    error_message=None,
    usage=Usage(input_tokens=9, output_tokens=3),
    provider_request_id="req_1",
    credential_ref="env:OPENAI_API_KEY",
    credential_version="",
    credential_fingerprint="0a1b2c3d",
    abandoned=False,
)

_RECORD = Record(
    id="",
    operation="chat",
    surface="openai",
    started_at=1_700_000_000.0,
    duration=0.45,
    first_content=0.2,
    outcome="ok",
    status=200,
    error_code=None,
    error_message=None,
    principal="alice",
    principal_issuer="static-keys",
    client_address="127.0.0.1",
    client_request_id=None,
    router=None,
    request_model="gpt-4o-mini",
    stream=False,
    provider_name="openai",
    response_model="gpt-4o-mini-2024-07-18",
    response_id="chatcmpl-1",
    finish_reason="stop",
    usage=Usage(input_tokens=9, output_tokens=3),
    attempts=(_ATTEMPT_RECORD,),
    metadata={"team": "blue"},
)


def sample_record(**fields: Any) -> Record:
    """The record of an exchange that went well, with an id of its own; ``fields`` are those of ``Record``."""
    return attrs.evolve(_RECORD, **{"id": f"00000000-0000-7000-8000-{next(_numbers):012d}", **fields})
