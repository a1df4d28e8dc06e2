"""``.env`` files: what is read, what is ignored, and that nothing makes the parser fail."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from llmgate.codecs.dotenv import parse, unread_lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1", {"A": "1"}),
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("export A=1", {"A": "1"}),
        ("  A = 1  ", {"A": "1"}),
        ("A=", {"A": ""}),
        ("A=\nB=2", {"A": "", "B": "2"}),
        ("A=one two", {"A": "one two"}),
        ("A=1 # comment", {"A": "1"}),
        ("A=# comment", {"A": ""}),
        ("A=a#b", {"A": "a#b"}),
        ("# A=1\n\n  # B=2\nC=3", {"C": "3"}),
        ("A='$x # \\n'", {"A": "$x # \\n"}),
        ('A="x\\ny\\t\\"q\\" \\\\ \\$z"', {"A": 'x\ny\t"q" \\ $z'}),
        ('A="two\nlines"\nB=2', {"A": "two\nlines", "B": "2"}),
        ("A='two\nlines' # c\nB=2", {"A": "two\nlines", "B": "2"}),
        ('A="open\nB=2', {"A": '"open', "B": "2"}),
        ("A='x'y", {"A": "'x'y"}),
        ("A=$HOME", {"A": "$HOME"}),
        ("A=a=b", {"A": "a=b"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("\ufeffA=1", {"A": "1"}),
        ("A=1\nA=2", {"A": "2"}),
        ("", {}),
    ],
)
def test_what_is_read(text: str, expected: dict[str, str]) -> None:
    assert parse(text) == expected


def test_lines_that_are_no_assignment_mean_nothing_and_are_named() -> None:
    text = 'A=1\nOPENAI_API_KEY: sk\n\n# c\nB="x\ny"\nsource other\n1A=2'
    assert parse(text) == {"A": "1", "B": "x\ny"}
    assert unread_lines(text) == [2, 7, 8]


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert all(isinstance(value, str) for value in parse(text).values())
    unread_lines(text)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True),
        st.text(st.characters(exclude_characters="\r")),
        max_size=5,
    )
)
def test_what_is_written_in_double_quotes_comes_back(values: dict[str, str]) -> None:
    def escaped(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    text = "\n".join(f'{name}="{escaped(value)}"' for name, value in values.items())
    assert parse(text) == values


@pytest.mark.parametrize("piece", ['A="\\\n', '\\"', "A='\n", "A=\"x\nB='y\n"])
def test_a_megabyte_of_open_quotes_is_read_in_linear_time(piece: str) -> None:
    parse('A="' + piece * (1_000_000 // len(piece)))
