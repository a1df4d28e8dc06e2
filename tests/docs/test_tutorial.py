"""A newcomer who does what the tutorial says gets what it promises: every command is run, every file is used."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from docs.vendor import vendor
from docs.walkthrough import NOT_RUN, Command, Step, Walk, commands_of, steps_of
from llmgate.cli.program import build_parser

__all__ = ["vendor"]

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture
def walk(tmp_path: Path, vendor: str) -> Iterator[Walk]:
    openai = {"LLMGATE__PROVIDERS__OPENAI__BASE_URL": vendor}
    with Walk(tmp_path, {"OPENAI_API_KEY": openai}) as one:
        yield one


def text_of(name: str) -> str:
    return (TUTORIAL / name).read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_first_page_does_what_it_says(walk: Walk) -> None:
    walk.through(text_of("first_request.md"))
    assert [line for line in walk.ran if line.startswith("llmgate serve")] == ["llmgate serve"] * 2
    assert sum(line.startswith("curl") for line in walk.ran) == 3
    assert "python ask.py" in walk.ran


@pytest.mark.slow
def test_the_second_page_ends_with_a_working_failover(walk: Walk) -> None:
    walk.through(text_of("failover.md"))
    walk.stop()
    assert len(walk.ran) == 6
    assert "fail: 503" in (walk.directory / "llmgate.yaml").read_text(encoding="utf-8")
    assert (walk.directory / "records.jsonl").read_text(encoding="utf-8").count("\n") == 3


@pytest.mark.slow
def test_the_readme_does_what_it_says(tmp_path: Path, vendor: str) -> None:
    """Its file is served in place of what ``make serve`` would serve, with keys for a vendor on loopback."""
    keys = {f"{name}_API_KEY": "x" for name in ("OPENAI", "ANTHROPIC", "GEMINI")}
    addresses = {f"LLMGATE__PROVIDERS__{name}__BASE_URL": vendor for name in ("OPENAI", "ANTHROPIC", "GEMINI")}
    steps = list(steps_of((ROOT / "README.md").read_text(encoding="utf-8")))
    (text,) = (step.text for step in steps if "routers:" in step.text)
    (tmp_path / "llmgate.yaml").write_text(text, encoding="utf-8")
    with Walk(tmp_path, {"KEYS": {**keys, **addresses}}) as walk:
        walk.run(Command("export KEYS=set", ()))
        walk.run(Command("llmgate serve", ("routers: main",)))
        asked = [command for step in steps for command in step.commands if command.line.startswith("curl")]
        assert len(asked) == 1
        for command in asked * 3:
            walk.run(attrs.evolve(command, expected=('"content": "Good day!"',)))


def test_the_tutorial_needs_no_key_for_the_failover_and_names_nobody_elses_address() -> None:
    page = text_of("failover.md")
    assert not re.search(r"(?m)^\$ export ", page)
    assert set(re.findall(r"https?://([\w.:-]+)", page)) == {"127.0.0.1:8080"}


def test_a_walk_fails_where_the_page_promises_what_does_not_come(walk: Walk) -> None:
    walk.run(Command("echo one; echo two", ("one", "t...o")))
    with pytest.raises(AssertionError, match="promises 'three'"):
        walk.run(Command("echo one; echo two", ("three",)))
    with pytest.raises(AssertionError, match="promises 'one'"):
        walk.run(Command("echo one; echo two", ("two", "one")))
    with pytest.raises(AssertionError, match="false"):
        walk.run(Command("false", ()))


def test_a_page_is_read_block_by_block() -> None:
    page = (
        "Write this into `a.yaml`:\n\n```yaml\nx: 1\n```\n\nAnd look:\n\n```yaml\ny: 2\n```\n\n"
        "```console\n$ one \\\n    two\nout ...\n\n$ three\n```\n"
    )
    assert list(steps_of(page)) == [
        Step(file="a.yaml", text="x: 1\n"),
        Step(text="y: 2\n"),
        Step(commands=(Command("one \\\n    two", ("out ...",)), Command("three", ()))),
    ]


def commands() -> list[object]:
    """Every command of ours on every page, by page and line."""
    found = []
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for block in re.finditer(r"(?ms)^```console\n(.*?)^```$", text):
            line = text.count("\n", 0, block.start()) + 1
            ours = [command.line for command in commands_of(block[1]) if command.line.startswith("llmgate ")]
            found += [pytest.param(one, id=f"{path.relative_to(ROOT)}:{line} {one}") for one in ours]
    return found


@pytest.mark.parametrize("line", commands())
def test_a_command_of_ours_is_one_that_the_program_takes(line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    build_parser(words).parse_args(words)


def test_what_is_not_run_fetches_builds_or_drives_an_engine() -> None:
    assert {one.split()[0] for one in NOT_RUN} == {"pip", "git", "make", "docker", "kubectl"}


def test_make_serve_is_the_command_of_the_tutorial() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"(?m)^serve: .*\n\t@?\$\(BIN\)/llmgate serve \$\(ARGS\)$", makefile)


def test_the_stand_in_for_curl_does_what_curl_does(walk: Walk, vendor: str) -> None:
    """On a machine without curl the pages are walked with a stand-in; here both are asked the same."""
    programs = [[sys.executable, str(Path(__file__).with_name("curl.py"))]]
    programs += [["curl", "-sS"]] if shutil.which("curl") else []
    answers = set()
    for program in programs:
        arguments = ["-H", "authorization: Bearer x", "-d", '{"model": "m"}', f"{vendor}/chat/completions"]
        done = subprocess.run([*program, *arguments], capture_output=True, env=os.environ, timeout=20, check=True)
        answers.add(done.stdout)
    assert len(answers) == 1
    assert b"Good day!" in answers.pop()
