"""A stage that changes a piece of a stream has changed it wherever the stream tells it again."""

from __future__ import annotations

import json

import attrs
import pytest

from formats.openai_responses.recorded import CALL, EVENTS, FRAMES, WHOLE, call, end, numbered, reasoning, start, text
from llmgate.formats import get_format, read_request
from llmgate.formats.openai_responses.asked import Asked
from llmgate.formats.openai_responses.following import FollowingEncoder
from llmgate.formats.openai_responses.stream import ResponseStreamReader
from llmgate.spec import Reasoning, Text


def sent(data: bytes, change=lambda chunk: chunk) -> bytes:
    """What goes down of a stream whose chunks are changed, as the pipeline sends it."""
    asked = {"model": "m", "input": "hi", "stream": True, "tools": [{"type": "custom", "name": "apply_patch"}]}
    encoder = FollowingEncoder(Asked(read_request(get_format("openai-responses"), json.dumps(asked).encode())))
    pieces = []
    for chunk in ResponseStreamReader().decode(data):
        seen = chunk if chunk.final else change(chunk)
        if seen is not None:
            pieces.append(encoder.relayed(seen) if seen.raw else encoder.encode(seen))
    return b"".join(pieces)


def swapped(old: str, new: str | None):
    """A stage that puts one text in another's place, or takes the event out."""

    def change(chunk):
        for choice in chunk.choices:
            for part in choice.parts:
                if isinstance(part, Text | Reasoning) and part.text == old:
                    changed = attrs.evolve(choice, parts=(attrs.evolve(part, text=new or ""),))
                    return None if new is None else attrs.evolve(chunk, choices=(changed,), raw=b"")
            for one in choice.tool_calls:
                if one.arguments == old:
                    calls = (attrs.evolve(one, arguments=new or ""),)
                    changed = attrs.evolve(choice, tool_calls=calls)
                    return None if new is None else attrs.evolve(chunk, choices=(changed,), raw=b"")
        return chunk

    return change


def test_what_nobody_changes_goes_down_as_it_came():
    assert sent(WHOLE) == WHOLE


@pytest.mark.parametrize("new", ["XXX", None])
@pytest.mark.parametrize("secret", ["secret", "Hm"])
def test_a_changed_text_comes_back_nowhere(secret, new):
    data = b"".join(
        numbered([*start(), *text(0, "My ", secret, " is out."), *call(1, CALL, '{"city": "', 'Zü"}'), *end()])
    )
    got = sent(data, swapped(secret, new))
    assert secret.encode() not in got
    events = [json.loads(frame.split(b"data: ")[1]) for frame in got.split(b"\n\n")[:-1]]
    numbers = [event["sequence_number"] for event in events]
    assert numbers == sorted(set(numbers))
    done = [event for event in events if event["type"] == "response.output_text.done"]
    assert [event["text"] for event in done] == [f"My {new or ''} is out."]
    assert [event["type"] for event in events].count("response.content_part.added") == 1
    response = events[-1]["response"]
    assert (events[-1]["type"], response["id"], response["status"]) == ("response.completed", "resp_1", "completed")
    assert [item["type"] for item in response["output"]] == ["message", "function_call"]
    assert response["output"][1]["arguments"] == '{"city": "Zü"}'
    assert response["usage"]["total_tokens"] == 35


def test_the_first_piece_may_be_the_one():
    data = b"".join(numbered([*start(), *text(0, "secret", " word"), *end()]))
    got = sent(data, swapped("secret", "XXX"))
    assert b"secret" not in got
    assert got.count(b"response.content_part.added") == 2  # once as a name and once in the data


def test_changed_arguments_and_thoughts_come_back_nowhere():
    got = sent(WHOLE, swapped('{"city": "', '{"town": "'))
    assert b"city" not in got
    assert b'{\\"town\\": \\"Z\xc3\xbc\\"}' in got
    events = [*start(), *reasoning(0), *text(1, "Hello"), *end()]
    got = sent(b"".join(numbered(events)), swapped("H", "XXX"))
    assert b'"Hm.' not in got
    assert b"XXXm." in got


def test_events_of_other_kinds_go_down_all_the_same():
    got = sent(WHOLE, swapped("Hel", "HEL"))
    assert FRAMES[[kind for kind, _ in EVENTS].index("response.future_event")] in got
    last = json.loads(got.split(b"\n\n")[-2].split(b"data: ")[1])["response"]
    assert [item["type"] for item in last["output"]] == [
        *("reasoning", "web_search_call", "message", "function_call", "function_call", "custom_tool_call"),
    ]
    assert last["output"][2]["content"][0]["text"].startswith("HELlo wörld")
