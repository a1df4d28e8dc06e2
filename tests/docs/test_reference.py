"""The reference is complete: every hook, stage, method, key, error, code, route, header and command is in it."""

from __future__ import annotations

import argparse
import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.error_codes import codes_in, written_codes
from llmgate.cli.program import build_parser
from llmgate.config.keys import Status, key_table
from llmgate.config.meanings import key_of, settable
from llmgate.host import create_app
from llmgate.pipeline import Pipeline
from llmgate.registry import Registry
from llmgate.spec import KINDS, GatewayError, Stage, errors, hookspecs

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
SOURCE = ROOT / "src" / "llmgate"

BUILT_IN = sorted(
    (kind.id, info.id)
    for kind in KINDS
    for info in Registry().info()
    if (info.kind, info.distribution) == (kind.id, "llmgate")
)
ERRORS = sorted(
    (value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, GatewayError)),
    key=lambda error: error.__name__,
)


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """The text below a heading, up to the next of its level or above."""
    level = heading.count("#", 0, heading.index(" "))
    start = text.index(f"{heading}\n")
    rest = text[start + len(heading) :]
    following = re.search(rf"(?m)^#{{1,{level}}} ", rest)
    return rest[: following.start()] if following else rest


def written_headers() -> set[str]:
    """Every response header that the host's source names: byte pairs, and the ``headers=`` of a refusal."""
    names: set[str] = set()
    for path in (SOURCE / "host").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Tuple) and len(node.elts) == 2 and isinstance(node.elts[0], ast.Constant):
                first = node.elts[0].value
                names |= {first.decode()} if isinstance(first, bytes) and re.fullmatch(rb"[a-z-]+", first) else set()
            if isinstance(node, ast.keyword) and node.arg == "headers" and isinstance(node.value, ast.Dict):
                names |= {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
    return names


@pytest.mark.parametrize("name", sorted(name for name in vars(hookspecs) if name.startswith("llmgate_")))
def test_a_hook_has_a_heading_with_its_arguments(name):
    arguments = ", ".join(inspect.signature(getattr(hookspecs, name)).parameters)
    assert f"\n## `{name}({arguments})`\n" in page("hooks.md")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
def test_a_kind_has_a_section_that_shows_its_interface(kind):
    text = section(page("stages.md"), f"## `{kind.base.__name__}`")
    file = inspect.getsourcefile(kind.base)
    assert file is not None
    assert f"../../src/llmgate/spec/{Path(file).name}\n:pyobject: {kind.base.__name__}\n" in text


def test_the_phases_of_an_interceptor_are_explained():
    (interceptor,) = (kind.base for kind in KINDS if kind.id == "interceptors")
    phases = [
        name for name in vars(interceptor) if inspect.isfunction(vars(interceptor)[name]) and name not in vars(Stage)
    ]
    assert phases
    text = section(page("stages.md"), "## `Interceptor`")
    assert [name for name in phases if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize(("kind_id", "name"), BUILT_IN)
def test_a_built_in_stage_and_its_keys_are_documented(kind_id, name):
    stage = Registry().find(kind_id, name)
    assert stage is not None
    text = section(page("configuration.md"), f"### `{name}` ({kind_id})")
    assert [key_of(field) for field in settable(stage.config_class) if f"| `{key_of(field)}` |" not in text] == []


def test_every_configuration_key_is_documented():
    text = page("configuration.md")
    assert [key.path for key in key_table() if f"| `{key.path}` |" not in text] == []
    assert [key.path for key in key_table() if key.status is Status.WORKS and not key.meaning] == []


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_has_a_section_with_its_code_and_status(error):
    text = own_part(section(page("errors.md"), f"## `{error.__name__}`"))
    assert re.search(rf"\bcode `{error.default_code}`", text, flags=re.IGNORECASE)
    if "status_code" in vars(error):
        assert re.search(rf"\b{error.status_code}\b", text)


@pytest.mark.parametrize(("code", "file"), sorted(written_codes().items()))
def test_an_error_code_has_a_section_with_its_meaning_cause_and_remedy(code, file):
    classes = [error.__name__ for error in ERRORS if error.default_code == code]
    heading = f"## `{classes[0]}`" if classes else f"### `{code}`"
    assert f"\n{heading}\n" in page("errors.md"), f"write a section for the code that {file} gives"
    meaning, cause, remedy = [*own_part(section(page("errors.md"), heading)).split("\n\n**"), "", ""][:3]
    assert meaning.strip()
    assert re.match(r"Cause\.\*\* \S", cause), f"{heading}: say what causes it"
    assert re.match(r"Remedy\.\*\* \S", remedy), f"{heading}: say what to do"


def test_no_section_is_for_a_code_that_nobody_gives():
    headings = set(re.findall(r"(?m)^### `([a-z_]+)`$", page("errors.md")))
    assert headings - written_codes().keys() == set()


def own_part(text: str) -> str:
    """What a section says before its first subsection."""
    return re.split(r"(?m)^#", text)[0]


@pytest.mark.parametrize(
    ("source", "codes"),
    [
        ("raise E('x', code='one')", ["one"]),
        ("class E:\n    default_code = 'two'", ["two"]),
        ("class E:\n    default_code: ClassVar[str] = 'three'", ["three"]),
        ("def make(text, code): ...\nmake('x', 'four')", ["four"]),
        ("make('x', 'not one')", []),
        ("E('x', code='five' if y else None)", ["five"]),
        ("E('x', code=code)", []),
        ("{'message': m, 'code': 'seven', 'param': 'model'}", ["seven"]),
        ("def _code(status):\n    return 'six' if status else None", ["six"]),
    ],
)
def test_a_code_is_found_wherever_it_is_written(source, codes):
    assert list(codes_in(source)) == codes


def test_every_route_is_documented():
    app = create_app(Pipeline.from_config({"providers": {"echo": {}}}, environment={}))
    paths = [route.path.replace(":path}", "}") for route in app.routes]
    assert len(paths) > 10
    assert [path for path in paths if not is_written(path)] == []


def is_written(path: str) -> bool:
    """Whether a route is in the table, or made of a prefix and an operation that both are."""
    text = page("http_api.md")
    if f"| `{path}` |" in text:
        return True
    places = [0, *(match.start() for match in re.finditer("/", path))]
    return any(f"| `{path[:at] or ' '}` |" in text and f"| `...{path[at:]}` |" in text for at in places)


@pytest.mark.parametrize("name", sorted(written_headers()))
def test_a_response_header_is_documented(name):
    assert f"`{name}`" in section(page("http_api.md"), "## Response headers")


def test_the_headers_are_found_in_the_source():
    assert {"x-request-id", "helicone-id", "helicone-provider", "llmgate-model", "allow"} <= written_headers()


def test_every_command_and_option_is_documented_and_explained():
    parser = build_parser()
    text = page("cli.md")
    undocumented = []
    for title, command in walked("llmgate", parser):
        assert command.description, title
        part = text if command is parser else section(text, f"{'###' if title.count(' ') > 1 else '##'} `{title}`")
        for action in command._actions:
            assert action.help or isinstance(action, argparse._SubParsersAction), f"{title}: {action.dest}"
            if action.option_strings and action.dest not in ("help", "log_level"):
                undocumented += [
                    f"{title} {name}"
                    for name in action.option_strings
                    if f"`{name}" not in part and f", {name}" not in part
                ]
    assert undocumented == []


def walked(title: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every parser, by what a user writes to reach it."""
    yield title, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield from walked(f"{title} {name}", command)
