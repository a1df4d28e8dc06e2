from __future__ import annotations

import pytest

from llmgate.pipeline.labels import MAX_PROPERTIES, bounded, labels_of, properties_of


def test_the_words_of_helicone_are_fields_of_the_record() -> None:
    headers = {
        "helicone-user-id": "u-1",
        "helicone-session-id": "s-1",
        "helicone-session-path": "/plan/search",
        "helicone-session-name": "Trip",
        "helicone-prompt-id": "p-1",
        "helicone-property-environment": "test",
        "helicone-property-a b": "c",
        "user-agent": "OpenAI/Python 2.1",
        "helicone-auth": "Bearer c4n4ry",
        "x-other": "y",
    }
    assert labels_of(headers) == {
        "user": "u-1",
        "session_id": "s-1",
        "session_path": "/plan/search",
        "session_name": "Trip",
        "prompt_id": "p-1",
        "properties": {"environment": "test", "a b": "c"},
        "user_agent": "OpenAI/Python 2.1",
    }


def test_what_is_empty_is_not_there() -> None:
    assert labels_of({"helicone-user-id": "", "helicone-property-": "x", "user-agent": ""}) == {"properties": {}}


def test_utf_8_is_read_as_its_sender_meant_it_and_latin_1_stays() -> None:
    assert properties_of({"helicone-property-a": "Zürich".encode().decode("latin-1")}) == {"a": "Zürich"}
    assert properties_of({"helicone-property-a": "Zürich"}) == {"a": "Zürich"}


def test_properties_are_bounded_in_number_and_length() -> None:
    many = {f"helicone-property-{index:03}": "v" for index in range(MAX_PROPERTIES + 5)}
    assert len(properties_of(many)) == MAX_PROPERTIES
    found = properties_of({f"helicone-property-{'n' * 500}": "v" * 5000})
    ((name, value),) = found.items()
    assert (len(name), name[-1], len(value), value[-1]) == (128, "…", 1024, "…")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("plain", "plain"),
        ("日本\u3000語 é", "日本\u3000語 é"),
        ("a\r\nb", "a b"),
        ("\x00a\x1b[31mb\x7f", " a [31mb "),
        ("a\u2028b\u202ec\ud800d", "a b c d"),
        ("x" * 10, "x" * 10),
        ("x" * 11, "x" * 9 + "…"),
        ("\n" * 39 + "x", " x"),
        ("\n" * 41, "…"),
        ("\n" * 1_000_000 + "x\n", "…"),
    ],
)
def test_no_control_character_and_no_length_gets_through(text: str, left: str) -> None:
    found = bounded(text, 10)
    assert found == left or (left == "…" and found == " …")
    assert "\n" not in found
    assert len(found) <= 10
