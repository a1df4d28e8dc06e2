"""Code in the README and the documentation runs as it is printed, and every configuration in them loads."""

from __future__ import annotations

import http.server
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmgate import Pipeline
from llmgate.registry import Registry

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
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


class Model(http.server.BaseHTTPRequestHandler):
    """Answers chat completions as an OpenAI-compatible vendor does."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert self.headers["authorization"].startswith("Bearer ")
        answer = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": request["model"],
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "Good day!"}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def vendor() -> Iterator[str]:
    """The address of a model vendor on loopback."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


@pytest.fixture
def surroundings(vendor, tmp_path, monkeypatch):
    """A directory with the README's configuration, and an environment with keys for the vendor on loopback."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "llmgate.yaml").write_text(blocks("yaml")[0].values[0])
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    for provider in ("OPENAI", "ANTHROPIC", "GEMINI"):
        monkeypatch.setenv(f"LLMGATE__PROVIDERS__{provider}__BASE_URL", vendor)


@pytest.mark.parametrize("code", blocks("python"))
def test_code_runs(code, surroundings):
    exec(compile(code, "example", "exec"), {"__name__": "example"})


def test_the_readme_prints_the_answer(surroundings, capsys):
    exec(compile(blocks("python")[0].values[0], "README", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out.startswith("Good day! Usage(input_tokens=3, output_tokens=2")


@pytest.mark.parametrize("text", blocks("yaml"))
def test_a_configuration_loads(text, tmp_path):
    path = tmp_path / "llmgate.yaml"
    path.write_text(text)
    assert Pipeline.from_config(path, environment=KEYS).config.providers


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
        timeout=50,
    )
    assert result.returncode == 0, result.stdout
    assert re.search(r"\b[1-9]\d+ passed", result.stdout)
