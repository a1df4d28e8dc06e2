from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from llmgate.formats import get_format, read_request
from llmgate.pipeline.capabilities import capable, fits
from llmgate.spec import UNKNOWN_MODEL, Deployment, GatewayRequest, InvalidRequestError, ModelFacts, ProviderError
from llmgate.testing.samples import sample_deployment
from scripted import OpenBench, completion, failure

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
BLIND = ModelFacts(vision=False)
CLUMSY = ModelFacts(tools=False)
LOOSE = ModelFacts(structured_output=False)
RASH = ModelFacts(thinking="none")
SMALL = ModelFacts(context_window=1000)


def asking(content: Any = "hello", wire_format: str = "openai-chat", **fields: Any) -> GatewayRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": content}], **fields}
    return read_request(get_format(wire_format), json.dumps(body).encode())


def candidates(*facts: ModelFacts) -> list[Deployment]:
    return [attrs.evolve(sample_deployment(), id=f"p/{place}", facts=one) for place, one in enumerate(facts)]


def left(request: GatewayRequest, *facts: ModelFacts) -> list[str]:
    return [one.id[-1] for one in capable(request, candidates(*facts))]


@pytest.mark.parametrize(
    ("request_", "facts"),
    [
        (asking([{"type": "text", "text": "what is this"}, IMAGE]), BLIND),
        (asking(tools=[TOOL]), CLUMSY),
        (asking(functions=[TOOL["function"]]), CLUMSY),
        (asking(response_format=SCHEMA), LOOSE),
        (asking(reasoning_effort="high"), RASH),
        (asking("word " * 2000), SMALL),
        (asking(max_tokens=2000), SMALL),
    ],
    ids=["image", "tools", "functions", "schema", "reasoning", "input", "output"],
)
def test_who_lacks_what_is_needed_is_left_out_and_who_is_unknown_is_not(
    request_: GatewayRequest, facts: ModelFacts
) -> None:
    assert left(request_, facts, UNKNOWN_MODEL, ModelFacts(vision=True, tools=True)) == ["1", "2"]


@pytest.mark.parametrize("facts", [BLIND, CLUMSY, LOOSE, RASH, SMALL])
def test_who_lacks_what_nobody_needs_is_kept(facts: ModelFacts) -> None:
    request = asking("an image of a tool, a function, a schema, an effort, thinking, max", max_tokens=10)
    assert left(request, facts, UNKNOWN_MODEL) == ["0", "1"]


@pytest.mark.parametrize("facts", [BLIND, CLUMSY, SMALL])
def test_candidates_that_do_not_differ_are_left_to_their_provider(facts: ModelFacts) -> None:
    request = asking(["text", IMAGE] and [IMAGE], tools=[TOOL], max_tokens=5000)
    assert left(request, facts, attrs.evolve(facts)) == ["0", "1"]


@pytest.mark.parametrize(
    ("request_", "facts", "said", "code"),
    [
        (asking([IMAGE]), (BLIND, ModelFacts(vision=False, tools=False)), "reads images", "capability_missing"),
        (asking(tools=[TOOL]), (CLUMSY, ModelFacts(vision=False, tools=False)), "calls tools", "capability_missing"),
        (asking([IMAGE], tools=[TOOL]), (BLIND, CLUMSY), "reads images and calls tools", "capability_missing"),
        (
            asking("word " * 9000),
            (SMALL, ModelFacts(context_window=2000)),
            "takes more than 2000",
            "context_length_exceeded",
        ),
        (
            asking([IMAGE], max_tokens=5000),
            (BLIND, SMALL),
            "that reads images takes more than 1000",
            "context_length_exceeded",
        ),
    ],
)
def test_where_nobody_is_left_the_error_says_what_none_of_them_has(
    request_: GatewayRequest, facts: tuple[ModelFacts, ...], said: str, code: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        capable(request_, candidates(*facts))
    assert said in caught.value.message
    assert (caught.value.code, caught.value.http_status) == (code, 400)


@pytest.mark.parametrize(
    ("request_", "facts"),
    [(asking(response_format=SCHEMA), LOOSE), (asking(reasoning_effort="low"), RASH)],
)
def test_what_a_model_can_do_without_is_no_reason_to_refuse(request_: GatewayRequest, facts: ModelFacts) -> None:
    assert left(request_, facts, attrs.evolve(facts, context_window=9000)) == ["0", "1"]


@pytest.mark.parametrize(
    ("wire_format", "content"),
    [
        ("anthropic-messages", [{"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}]),
        (
            "anthropic-messages",
            [
                {
                    "type": "tool_result",
                    "tool_use_id": "t",
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}
                    ],
                }
            ],
        ),
    ],
)
def test_images_are_seen_in_other_formats_and_in_what_tools_answer(wire_format: str, content: Any) -> None:
    assert left(asking(content, wire_format, max_tokens=9), BLIND, UNKNOWN_MODEL) == ["1"]


def test_a_body_that_cannot_be_read_is_left_to_its_provider() -> None:
    assert left(asking({"image": 1}), BLIND, UNKNOWN_MODEL) == ["0", "1"]


def test_what_a_stage_has_put_in_counts() -> None:
    assert left(asking().edited(max_output_tokens=5000), SMALL, UNKNOWN_MODEL) == ["1"]
    assert left(asking(max_tokens=5000).edited(max_output_tokens=50), SMALL, UNKNOWN_MODEL) == ["0", "1"]


@pytest.mark.parametrize(("text", "fit"), [("word " * 500, True), ("word " * 5000, False)])
def test_what_fits(text: str, fit: bool) -> None:
    assert fits(asking(text), SMALL) is fit
    assert fits(asking(text), UNKNOWN_MODEL)


def router(*models: str, **more: Any) -> Mapping[str, Any]:
    return {"main": {"load-balance": {"chat": {"strategy": "priority", "models": list(models)}}, **more}}


PROVIDERS = {name: {"base-url": f"https://{name}.test/v1", "keyless": True} for name in ("alpha", "beta")}


async def test_the_catalogues_facts_choose_among_models(bench: OpenBench) -> None:
    models = router("alpha/gpt-3.5-turbo", "beta/gpt-4.1")
    async with bench(*[completion()] * 3, providers=PROVIDERS, routers=models) as b:
        for content in ("hello", [IMAGE], "many words " * 9000):
            await b.pipeline.complete(router="main", model="any", messages=[{"role": "user", "content": content}])
        assert [body["model"] for body in b.bodies] == ["gpt-3.5-turbo", "gpt-4.1", "gpt-4.1"]


async def test_failover_goes_only_to_who_can(bench: OpenBench) -> None:
    models = router("beta/gpt-4o", "alpha/gpt-3.5-turbo")
    async with bench(failure(503), providers=PROVIDERS, routers=models) as b:
        with pytest.raises(ProviderError):
            await b.pipeline.complete(router="main", model="any", messages=[{"role": "user", "content": [IMAGE]}])
        assert len(b.urls) == 1
