"""Which events of a session name a model, which carry usage, and that the others are not even decoded."""

from __future__ import annotations

import json

import pytest

from llmgate.formats.sessions import OPAQUE, SESSIONS, NamedModel, added, renamed, session_at, session_format
from llmgate.spec import InvalidRequestError, Operation, Outcome, PermissionDeniedError, Usage

REALTIME, RESPONSES = SESSIONS["openai-realtime"], SESSIONS["openai-responses"]


def event(**fields) -> bytes:
    return json.dumps(fields).encode()


def test_a_session_is_found_by_its_operation():
    assert session_format(Operation.REALTIME) is REALTIME
    assert session_format(Operation.RESPONSES_SESSION) is RESPONSES
    assert session_format(Operation.CHAT) is None
    assert session_format(Operation.RELAY) is None


@pytest.mark.parametrize(
    ("path", "main"),
    [
        (("session", "model"), True),
        (("response", "model"), True),
        (("session", "audio", "input", "transcription", "model"), False),
        (("session", "input_audio_transcription", "model"), False),
        (("input_audio_transcription", "model"), False),
    ],
)
def test_a_model_is_found_wherever_the_realtime_api_has_one_and_can_be_renamed(path, main):
    value: object = "m"
    for step in reversed(path):
        value = {step: value, "other": 1}
    data = json.dumps(value).encode()
    (found,) = REALTIME.models_in(data)
    assert found == NamedModel("m", path, main)
    assert json.loads(renamed(data, found, "n")) == json.loads(data.replace(b'"m"', b'"n"'))


def test_of_a_renamed_event_only_one_member_is_written_anew():
    data = b'{ "type" : "response.create","input":[1.0,  "\\u00e9"], "model": "a/b" }'
    (found,) = RESPONSES.models_in(data)
    assert renamed(data, found, "b") == data.replace(b'"a/b"', b'"b"')


@pytest.mark.parametrize("name", [None, 1, [], {"a": 1}])
def test_what_is_no_name_is_none(name):
    assert REALTIME.models_in(event(session={"model": name})) == []
    assert REALTIME.models_in(event(session="model", model="x")) == []


def test_most_events_are_not_decoded():
    broken = b'{"type":"input_audio_buffer.append","audio":"' + b"A" * 10_000
    assert REALTIME.models_in(broken) == ()
    outcome = Outcome()
    REALTIME.observe(broken, outcome)
    assert outcome == Outcome(content=True)


@pytest.mark.parametrize("data", [b'{"model":"a","model":"b"}', b'{"model":', b'["\\u0061"]'])
def test_what_could_be_read_in_two_ways_is_refused(data):
    with pytest.raises(InvalidRequestError, match="the event is refused"):
        RESPONSES.models_in(data)


def test_an_answer_that_is_asked_for_without_a_model_hides_it():
    assert RESPONSES.hides_model(event(type="response.create", prompt={"id": "p"}))
    assert RESPONSES.hides_model(b'{"type":"response\\u002ecreate"}')
    assert not RESPONSES.hides_model(event(type="response.create", model="m"))
    assert not RESPONSES.hides_model(event(type="response.cancel", note="response.create"))
    assert not RESPONSES.hides_model(event(type="response.cancel"))
    assert not REALTIME.hides_model(event(type="response.create"))


def test_an_opaque_session_is_not_looked_into():
    outcome = Outcome()
    OPAQUE.observe(event(type="response.done", response={"usage": {"input_tokens": 1}}), outcome)
    assert outcome.usage is None
    assert OPAQUE.models_in(b'{"model":') == ()


def test_the_turns_of_geminis_live_api_are_added_up():
    live = session_at("/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent?x=1")
    assert session_at("/v1/other?a=.BidiGenerateContent") is OPAQUE
    said = {
        "promptTokenCount": 522,
        "responseTokenCount": 42,
        "thoughtsTokenCount": 8,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 332}, {"modality": "AUDIO", "tokenCount": 165}, 1],
        "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 42}],
    }
    outcome = Outcome()
    for data in (event(usageMetadata=said), event(usageMetadata=said), b'"usageMetadata"', b'{"usageMetadata":', b"x"):
        live.observe(data, outcome)
    live.observe(event(usageMetadata={}), outcome)
    live.observe(event(usageMetadata=1), outcome)
    assert outcome.usage == Usage(input_tokens=1044, output_tokens=100, reasoning=16, audio_input=330, audio_output=84)


def test_usage_counts_where_an_answer_ends_and_nowhere_else():
    usage = {"input_tokens": 7, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 3}}
    outcome = Outcome()
    RESPONSES.observe(event(type="response.created", response={"id": "r", "model": "m", "usage": usage}), outcome)
    assert (outcome.usage, outcome.model) == (None, "m")
    for kind in ("response.completed", "response.incomplete", "response.failed"):
        RESPONSES.observe(event(type=kind, response={"id": "r", "model": "m", "usage": usage}), outcome)
    assert outcome.usage == Usage(input_tokens=21, output_tokens=6, cache_read=9)
    assert outcome.response_id == "r"


def test_transcription_of_what_the_user_says_is_counted_too():
    outcome = Outcome()
    kind = "conversation.item.input_audio_transcription.completed"
    usage = {"type": "tokens", "input_tokens": 5, "output_tokens": 1, "input_token_details": {"audio_tokens": 5}}
    REALTIME.observe(event(type=kind, usage=usage), outcome)
    REALTIME.observe(event(type=kind, usage={"type": "duration", "seconds": 3}), outcome)
    assert outcome.usage == Usage(input_tokens=5, output_tokens=1, audio_input=5)


@pytest.mark.parametrize("data", [b'"usage"', b'{"usage":', event(type="response.done", response={"usage": [1]})])
def test_what_is_no_usage_is_passed_over(data):
    outcome = Outcome()
    REALTIME.observe(data, outcome)
    assert outcome.usage is None


@pytest.mark.parametrize("count", [-1, True, "5", 1.5, None])
def test_a_count_that_is_none_is_unknown(count):
    outcome = Outcome()
    REALTIME.observe(
        event(type="response.done", response={"usage": {"input_tokens": count, "output_tokens": 1}}), outcome
    )
    assert outcome.usage == Usage(output_tokens=1)


def test_what_neither_knows_stays_unknown():
    assert added(None, Usage(reasoning=1)) == Usage(reasoning=1)
    assert added(Usage(input_tokens=1, estimated=True), Usage(output_tokens=2)) == Usage(
        input_tokens=1, output_tokens=2, estimated=True
    )


def test_a_refusal_is_an_event_of_the_session():
    error = PermissionDeniedError("no", param="session.model", code="model_not_allowed")
    told = json.loads(REALTIME.error_event(error, "event_1"))
    assert (told["type"], told["event_id"], told["error"]["code"]) == ("error", "event_1", "model_not_allowed")
    told = json.loads(RESPONSES.error_event(error, "event_1"))
    assert (told["type"], told["status"], told["error"]["param"]) == ("error", 403, "session.model")
