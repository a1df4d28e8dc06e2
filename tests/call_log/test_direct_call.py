from __future__ import annotations

import json
from typing import Any

import pytest

from llmgate.call_log.direct_call import DirectCall, written
from llmgate.codecs.jsons import JSONError
from llmgate.host.surfaces.intake import read_call

NOW = 1_790_000_000.0
REQUEST = {"model": "gpt-4o-mini", "messages": []}
STREAM = 'data: {"choices":[]}\n\ndata: [DONE]\n\n'


def call(**fields: Any) -> DirectCall:
    said = {"url": "https://api.openai.com/v1/chat/completions", "request": REQUEST, "started_at": NOW, "ended_at": NOW}
    return DirectCall(**{**said, **fields})


def test_what_is_written_is_what_a_gateway_reads():
    said = call(
        ended_at=NOW + 2.0006,
        first_content=0.4,
        response={"usage": {}},
        status=201,
        provider="openai",
        user="eve",
        session_id="s",
        session_path="/a",
        session_name="n",
        prompt_id="p",
        properties={"Env": "prod"},
        omit_request=True,
        omit_response=True,
        call_id="mine",
    )
    read = read_call(json.loads(written(said)), NOW)
    assert (read.url, read.model, read.provider, read.status) == (said.url, "gpt-4o-mini", "openai", 201)
    assert (json.loads(read.request), json.loads(read.response)) == (REQUEST, {"usage": {}})
    assert (read.started_at, read.first_content, read.call_id) == (NOW, 0.4, "mine")
    assert read.duration == pytest.approx(2.001, abs=1e-6)
    assert read.headers == {
        "helicone-user-id": "eve",
        "helicone-session-id": "s",
        "helicone-session-path": "/a",
        "helicone-session-name": "n",
        "helicone-prompt-id": "p",
        "helicone-property-env": "prod",
        "helicone-omit-request": "true",
        "helicone-omit-response": "true",
    }


@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize(
    ("response", "media_type"),
    [
        ('{"usage": {}}', "application/json"),
        (STREAM, "text/event-stream"),
        (": WORKING\n\n" + STREAM, "text/event-stream"),
        ("<html>", "text/plain"),
        ("[1]", "text/plain"),
        ("", "text/plain"),
    ],
)
def test_bodies_may_be_told_as_they_came(response: str, media_type: str, as_bytes: bool):
    request = json.dumps(REQUEST)
    if as_bytes:
        said = call(request=request.encode(), response=response.encode())
    else:
        said = call(request=request, response=response)
    read = read_call(json.loads(written(said)), NOW)
    assert (json.loads(read.request), read.media_type) == (REQUEST, media_type)
    assert read.response.decode() == response.replace(": {}", ":{}")


def test_each_call_has_an_id_of_its_own():
    ids = {call().call_id for _ in range(3)}
    assert len(ids) == 3
    assert read_call(json.loads(written(call(call_id="mine"))), NOW).call_id == "mine"


@pytest.mark.parametrize(
    ("fields", "failure"),
    [
        ({"request": {"model": object()}}, JSONError),
        ({"request": "no JSON"}, JSONError),
        ({"started_at": float("nan")}, ValueError),
        ({"user": object()}, TypeError),
    ],
)
def test_what_cannot_be_written_is_an_error(fields: dict[str, Any], failure: type[Exception]):
    with pytest.raises(failure):
        written(call(**fields))
