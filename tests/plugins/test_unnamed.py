"""A plugin that no configuration names costs nothing, even when it is broken or slow; one that is named must work.

Two distributions are on the path: one cannot be imported, the other takes five seconds. Each leaves a mark when
somebody tries.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from end_to_end.gateways import gateway
from llmgate.spec import KINDS

SLOW_SECONDS = 5
BROKEN = """
from pathlib import Path
Path(__file__).with_suffix(".imported").touch()
import a_library_that_is_not_installed
"""
SLOW = f"""
from pathlib import Path
Path(__file__).with_suffix(".imported").touch()
import time
time.sleep({SLOW_SECONDS})
from llmgate.spec import Logger, hookimpl

class SlowLogger(Logger):
    name = "slow"
    async def record(self, record):
        pass

@hookimpl
def llmgate_register_loggers():
    return SlowLogger
"""
SERVING = """
import asyncio, json, sys, time
started = time.monotonic()
from llmgate import Pipeline

async def main():
    async with Pipeline.from_config({"providers": {"echo": {}}}, environment={}) as pipeline:
        answer = await pipeline.complete(model="echo", messages=[{"role": "user", "content": "Hello!"}])
    modules = [name for name in sys.modules if name.startswith("seeded_")]
    print(json.dumps([answer.text, time.monotonic() - started, modules]))

asyncio.run(main())
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A place on the import path with the two distributions, as an installer leaves them."""
    folder = tmp_path / "site"
    folder.mkdir()
    for name, source in {"broken": BROKEN, "slow": SLOW}.items():
        metadata = folder / f"llmgate_{name}-3.2.1.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: llmgate-{name}\nVersion: 3.2.1\n")
        (metadata / "entry_points.txt").write_text(f"[llmgate]\n{name} = seeded_{name}\n")
        (folder / f"seeded_{name}.py").write_text(source)
    return folder


@pytest.fixture
def environment(site: Path) -> Mapping[str, str]:
    paths = [str(site), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONDONTWRITEBYTECODE": "1"}


def imported(site: Path) -> list[str]:
    """Which of the two somebody has tried to import."""
    return sorted(path.stem.removeprefix("seeded_") for path in site.glob("*.imported"))


def run(directory: Path, environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )


def test_a_pipeline_in_process_does_not_touch_them(tmp_path, site, environment):
    result = run(tmp_path, environment, "-c", SERVING)
    assert result.returncode == 0, result.stderr
    text, seconds, modules = json.loads(result.stdout)
    assert (text, modules, imported(site)) == ("Hello!", [], [])
    assert seconds < SLOW_SECONDS


def test_a_server_starts_and_answers_without_them(tmp_path, site, environment):
    (tmp_path / "llmgate.yaml").write_text("providers: {echo: {}}\nloggers: [{use: json-lines, path: log.jsonl}]\n")
    started = time.monotonic()
    with gateway(tmp_path, environment=environment) as one:
        body = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "Hello!"}]}).encode()
        request = urllib.request.Request(f"{one.url}/v1/chat/completions", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert json.load(answer)["choices"][0]["message"]["content"] == "Hello!"
        taken = time.monotonic() - started
        one.signal()
        assert one.wait() == 0
    assert imported(site) == []
    assert taken < 30


def test_no_command_that_needs_no_list_of_them_touches_them(tmp_path, site, environment):
    (tmp_path / "llmgate.yaml").write_text("providers: {echo: {}}\n")
    commands = [["check"], ["check", "--explain"], ["providers"], ["keys", "new"], ["init", "new.yaml"]]
    script = f"import sys\nfrom llmgate.cli import main\nsys.exit(any([main(one) for one in {commands}]))"
    result = run(tmp_path, environment, "-c", script)
    assert result.returncode == 0, result.stderr
    assert imported(site) == []


def test_a_new_plugin_is_begun_without_touching_them(tmp_path, site, environment):
    assert run(tmp_path, environment, "-m", "llmgate", "plugins", "new", "state", "mine").returncode == 0
    refused = run(tmp_path, environment, "-m", "llmgate", "plugins", "new", "state", "slow")
    assert refused.returncode == 1
    assert "taken by the plugin 'slow' of llmgate-slow 3.2.1" in refused.stderr
    assert imported(site) == []


def test_the_list_imports_both_and_names_the_broken_one_with_its_distribution(tmp_path, site, environment):
    result = run(tmp_path, environment, "-m", "llmgate", "plugins", "--json")
    assert result.returncode == 1
    assert imported(site) == ["broken", "slow"]
    listed = {one["id"]: one for one in json.loads(result.stdout)}
    assert (listed["slow"]["kind"], listed["slow"]["health"]) == ("loggers", "ok")
    assert (listed["broken"]["distribution"], listed["broken"]["version"]) == ("llmgate-broken", "3.2.1")
    assert "No module named 'a_library_that_is_not_installed'" in listed["broken"]["health"]
    assert "Traceback" not in result.stderr


def test_naming_the_broken_one_stops_the_start_with_its_name_and_distribution(tmp_path, site, environment):
    """Of all places this is the one where going on without it would be an open door."""
    (tmp_path / "llmgate.yaml").write_text("auth: [{use: broken}]\n")
    with gateway(tmp_path, ready=False, environment=environment) as one:
        assert one.wait(30) == 1
    assert not one.lines, "nothing is served"
    assert len(one.errors) == 1
    assert "'broken' of llmgate-broken 3.2.1" in one.stderr
    assert "a_library_that_is_not_installed" in one.stderr
    assert imported(site) == ["broken"], "the other one is still nobody's business"


NAMING = """
import json, sys
from llmgate import GatewayError, Pipeline

for section in json.load(sys.stdin):
    try:
        Pipeline.from_config(section, environment={})
    except GatewayError as error:
        print(json.dumps([type(error).__name__, str(error)]))
"""
SECTIONS = [
    {"auth": [{"use": "broken"}]},
    {"interceptors": [{"use": "broken"}]},
    {"loggers": [{"use": "broken"}]},
    {"pages": [{"use": "broken"}]},
    {"target-urls": {"book": {"use": "broken"}}},
    {"secrets": {"mine": {"use": "broken"}}},
    {"state": {"mine": {"use": "broken"}}},
    {"providers": {"mine": {"use": "broken", "base-url": "http://127.0.0.1:9/v1"}}},
    {"routers": {"main": {"load-balance": {"chat": {"strategy": "broken", "providers": ["echo"]}}}}},
]


def test_it_is_named_wherever_a_configuration_names_it(tmp_path, site, environment):
    """In process too, for each kind: no start without it, and no start that does not say which."""
    result = subprocess.run(
        [sys.executable, "-c", NAMING],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], **environment},
        input=json.dumps(SECTIONS),
        capture_output=True,
        text=True,
        check=True,
        timeout=150,
    )
    errors = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(errors) == len(SECTIONS) == len(KINDS)
    assert {kind for kind, _ in errors} == {"PluginError"}
    assert all("'broken' of llmgate-broken 3.2.1" in message for _, message in errors)
    assert imported(site) == ["broken"]


def test_it_may_stay_installed_and_blocked(tmp_path, site, environment):
    (tmp_path / "llmgate.yaml").write_text("providers: {echo: {}}\nplugins: {block: [llmgate-broken]}\n")
    result = run(tmp_path, environment, "-m", "llmgate", "check")
    assert result.returncode == 0, result.stderr
    assert imported(site) == []
