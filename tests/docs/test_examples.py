"""Code in the README and the documentation runs as it is printed, and every configuration in them loads."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from docs.asgi import ask
from docs.vendor import vendor
from end_to_end.loopback import loopback
from llmgate import Pipeline
from llmgate.call_log import AsyncCallLogger, CallLogger
from llmgate.registry import Registry

__all__ = ["vendor"]

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NEEDS_A_SERVER = "docs/tutorial/first_request.md"
"""Its program talks to the gateway that the page has started; ``test_tutorial.py`` does both."""

KEYS = {"OPENAI_API_KEY": "one", "ANTHROPIC_API_KEY": "two", "GEMINI_API_KEY": "three", "MY_VENDOR_KEY": "four"}


def blocks(language: str) -> list[Any]:
    """Every fenced block of a language, as parameters named by page and line."""
    found = []
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(rf"(?ms)^```{language}\n(.*?)^```$", text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(pytest.param(match[1], id=f"{path.relative_to(ROOT)}:{line}"))
    return found


@pytest.fixture
def surroundings(vendor, tmp_path, monkeypatch):
    """A directory with the README's configuration, and an environment with keys for the vendor on loopback."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "llmgate.yaml").write_text(blocks("yaml")[0].values[0])
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    for provider in ("OPENAI", "ANTHROPIC", "GEMINI"):
        monkeypatch.setenv(f"LLMGATE__PROVIDERS__{provider}__BASE_URL", vendor)


@pytest.mark.parametrize("code", [block for block in blocks("python") if not block.id.startswith(NEEDS_A_SERVER)])
def test_code_runs(code, surroundings):
    exec(compile(code, "example", "exec"), {"__name__": "example"})


def printed() -> list[Any]:
    """Every program whose output stands below it, with that output, named by page and line."""
    found = []
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"(?ms)^```python\n((?:(?!^```).)*)^```\n\nprints[^\n]*\n\n```text\n(.*?)^```$", text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(pytest.param(match[1], match[2], id=f"{path.relative_to(ROOT)}:{line}"))
    return found


@pytest.mark.parametrize(("code", "output"), printed())
def test_a_program_prints_what_the_page_says(code, output, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for variable in KEYS:
        monkeypatch.delenv(variable, raising=False)
    exec(compile(code, "example", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out == output


def test_programs_with_their_output_are_found():
    assert len(printed()) >= 5


async def test_the_example_of_the_exchange_frame_answers():
    (code,) = (block.values[0] for block in blocks("python") if "pipeline.exchange()" in block.values[0])
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "example", "exec"), names)
    async with Pipeline.from_config({"providers": {"echo": {}}}, environment={}) as pipeline:
        body = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "Hello!"}]}).encode()
        answer = json.loads(await names["ask"](pipeline, body))
    assert answer["choices"][0]["message"]["content"] == "Hello!"


def test_the_readme_prints_the_answer(surroundings, capsys):
    exec(compile(blocks("python")[0].values[0], "README", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out.startswith("Good day! Usage(input_tokens=3, output_tokens=2")


@pytest.mark.parametrize("text", blocks("yaml"))
def test_a_configuration_loads(text, tmp_path):
    for beside in ROOT.glob("docs/reference/examples/*.json"):
        shutil.copy(beside, tmp_path)
    path = tmp_path / "llmgate.yaml"
    path.write_text(text)
    assert Pipeline.from_config(path, environment=KEYS).config.providers


def example(part: str) -> dict[str, Any]:
    """The names that a program in the documentation defines, found by a part of it."""
    (code,) = (block.values[0] for block in blocks("python") if part in block.values[0])
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "example", "exec"), names)
    return names


async def test_the_examples_of_calls_made_directly_are_recorded_by_a_gateway(vendor, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "one")
    blocking, waiting = example("import CallLogger"), example("import AsyncCallLogger")
    async with loopback({"providers": {"echo": {}}}) as gateway:
        url = f"http://127.0.0.1:{gateway.port}"

        def ask() -> str:
            with CallLogger(url) as calls:
                answer: str = blocking["ask"](calls, "Good morning!", f"{vendor}/chat/completions")
                return answer

        assert await asyncio.to_thread(ask) == "Good day!"
        async with AsyncOpenAI(base_url=vendor) as client, AsyncCallLogger(url) as calls:
            assert await waiting["ask"](client, calls, "Good morning!") == "Good day!"
        records = await gateway.recorded(2)
    assert [(one.user, one.session_id, dict(one.properties)) for one in records] == [
        ("ann", "job-17", {"env": "prod"}),
        (None, None, {}),
    ]
    assert [(one.provider_name, one.cost_nano) for one in records] == [("openai", 3 * 150 + 2 * 600)] * 2


async def test_the_example_of_a_mounted_gateway_serves_beside_the_applications_own_routes():
    (code,) = (block.values[0] for block in blocks("python") if "Mount(" in block.values[0])
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "example", "exec"), names)
    app, pipeline = names["app"], names["pipeline"]
    body = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "Hello!"}]}).encode()
    assert not pipeline.ready
    async with app.router.lifespan_context(app):
        assert pipeline.ready
        head, *pieces = await ask(app, body, "/llm/v1/chat/completions")
        assert head["status"] == 200
        answer = json.loads(b"".join(piece.get("body", b"") for piece in pieces))
        assert answer["choices"][0]["message"]["content"] == "Hello!"
        greeting = await names["greeting"](None)
        assert greeting.body == b"Good morning!"
    assert not pipeline.ready


def test_the_example_of_a_plugin_registers(tmp_path, monkeypatch):
    (code,) = (block.values[0] for block in blocks("python") if "llmgate_register_loggers" in block.values[0])
    (tmp_path / "llmgate_count.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    import llmgate_count  # made a moment ago

    stage = Registry(plugins=[llmgate_count]).find("loggers", "count")
    assert stage is llmgate_count.CountLogger


def test_the_readme_is_one_screen_with_everything_in_it():
    text = PAGES[0].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 75
    assert [block.values[0].count("\n") for block in blocks("yaml")[:1]] == [9]
    for promised in ("make serve", "make test", "plugin", "llmgate check"):
        assert promised in text


def test_the_example_of_a_conformance_test_passes(tmp_path):
    (code,) = (block.values[0] for block in blocks("python") if "RoutingConformance" in block.values[0])
    (tmp_path / "test_backwards.py").write_text(code)
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "asyncio_mode=auto",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
    ]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_backwards.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert result.returncode == 0, result.stdout
    assert re.search(r"\b[1-9]\d+ passed", result.stdout)
