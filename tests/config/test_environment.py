"""Variables become the same tree as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmgate.config.environment import overlays, read_dotenv, variable_name
from llmgate.config.problems import Problems, Where
from llmgate.config.tree import MapNode, merged, plain


def read(**environment: str) -> Any:
    problems = Problems()
    tree: Any = MapNode({}, Where(""))
    for overlay in overlays(environment, problems):
        tree = merged(tree, overlay)
    assert problems.lines() == []
    return plain(tree)


def problems_of(**environment: str) -> list[str]:
    problems = Problems()
    overlays(environment, problems)
    return problems.lines()


def test_names_are_upper_snake_for_kebab() -> None:
    assert read(LLMGATE__SERVER__SHUTDOWN_TIMEOUT="5s") == {"server": {"shutdown-timeout": "5s"}}
    assert read(AI_GATEWAY__HELICONE____PROMPTS="false") == {"helicone": {"--prompts": False}}
    assert read(OTHER__SERVER__PORT="1", LLMGATE_KEY="x") == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8080", 8080), ("true", True), ("no", "no"), ("a: b", "a: b"), ("#x", "#x"), ("", None), (" 1.5 ", 1.5),
        ("[a, 2]", ["a", 2]), ("{a: {b: 1}}", {"a": {"b": 1}}), ("'8080'", "8080"), ("a,b", "a,b"), ("*x", "*x"),
    ],
)  # fmt: skip
def test_values_are_guessed_as_in_yaml(text: str, value: object) -> None:
    assert read(LLMGATE__A=text) == {"a": value}


def test_ours_beats_the_older_prefix_and_lists_are_replaced_whole() -> None:
    found = read(
        AI_GATEWAY__SERVER__PORT="1",
        AI_GATEWAY__SERVER__ADDRESS="0.0.0.0",
        LLMGATE__SERVER__PORT="2",
        AI_GATEWAY__LOGGERS__0="a",
        AI_GATEWAY__LOGGERS__1="b",
        LLMGATE__LOGGERS__0="c",
    )
    assert found == {"server": {"port": 2, "address": "0.0.0.0"}, "loggers": ["c"]}


def test_numbers_are_places_in_a_list_but_not_among_names() -> None:
    assert read(LLMGATE__AUTH__0__USE="x", LLMGATE__AUTH__1="y") == {"auth": [{"use": "x"}, "y"]}
    assert read(LLMGATE__ROUTERS__0__CACHE="x") == {"routers": {"0": {"cache": "x"}}}
    chat = "LLMGATE__ROUTERS__MY_ROUTER__LOAD_BALANCE__CHAT__PROVIDERS__"
    assert read(**{chat + "0": "a", chat + "1__WEIGHT": "1"}) == {
        "routers": {"my-router": {"load-balance": {"chat": {"providers": ["a", {"weight": 1}]}}}}
    }


def test_eleven_elements_stand_in_order() -> None:
    found = read(**{f"LLMGATE__A__{index}": str(index) for index in range(12)})
    assert found == {"a": list(range(12))}


def test_a_flow_mapping_and_deeper_variables_are_merged() -> None:
    assert read(LLMGATE__SERVER="{port: 1}", LLMGATE__SERVER__ADDRESS="x") == {"server": {"port": 1, "address": "x"}}


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"LLMGATE__": "1"}, "environment variable LLMGATE__: has an empty part: write LLMGATE__SECTION__KEY"),
        (
            {"LLMGATE__A": "[1"},
            "environment variable LLMGATE__A: is not YAML: expected ',' or ']', but got '<stream end>'",
        ),
        ({"LLMGATE__A": "{<<: {}}"}, "environment variable LLMGATE__A: merge keys are not allowed: write the keys out"),
        (
            {"LLMGATE__SERVER": "x", "LLMGATE__SERVER__PORT": "1"},
            (
                "environment variable LLMGATE__SERVER__PORT: 'server' is a value of its own in "
                "LLMGATE__SERVER: keep one of the two"
            ),
        ),
        ({"LLMGATE__" + "__".join("A" * 40): "1"}, None),
        ({"LLMGATE__\udcff": "1"}, "an environment variable: 'LLMGATE__\\udcff' has a character that no key has"),
    ],
)
def test_problems_name_the_variable(environment: dict[str, str], problem: str | None) -> None:
    found = problems_of(**environment)
    assert len(found) == 1
    assert found[0] == problem if problem is not None else "nested deeper" in found[0]


def test_the_variable_of_a_key() -> None:
    assert variable_name("server.allow-open") == "LLMGATE__SERVER__ALLOW_OPEN"


def test_dotenv_files(tmp_path: Path) -> None:
    problems = Problems()
    assert read_dotenv(tmp_path / "none", problems) == ({}, ())
    (tmp_path / ".env").write_text("A=1\nnonsense\n")
    values, warnings = read_dotenv(tmp_path / ".env", problems)
    assert values == {"A": "1"}
    assert list(warnings) == [f"{tmp_path}/.env:2: line ignored, write NAME=value"]
    assert not len(problems)
    read_dotenv(tmp_path, problems)
    (tmp_path / "bad").write_bytes(b"\xff")
    read_dotenv(tmp_path / "bad", problems)
    assert [line.partition(": ")[2] for line in problems.lines()] == [
        "cannot be read: is a directory",
        "is not UTF-8: save the file as UTF-8",
    ]
