"""What ``llmgate plugins new`` writes works as it is: its kit, its own tests, its linters, and a request through it."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from end_to_end.loopback import loopback
from llmgate import Pipeline
from llmgate.cli.plugins_new.names import LONGEST
from llmgate.spec import Credentials, InvalidRequestError, kind_named
from llmgate.testing.upstream import FakeUpstream
from plugin_packages import KIND_IDS, make, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SHAPES = {"short": "{letter}", "plain": "my-{kind}", "long": "{letter}-" + "b" * (LONGEST - 2)}
"""Names as short, as plain and as long as they come, each another for each kind."""
HELLO = [{"role": "user", "content": "Hello!"}]


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> dict[tuple[str, str], Path]:
    """A package of each kind under a short, a plain and the longest name."""
    top = tmp_path_factory.mktemp("packages")
    return {
        (kind, which): make(kind, shape.format(kind=kind, letter="abcdefghi"[number]), top / f"{kind}-{which}")
        for which, shape in SHAPES.items()
        for number, kind in enumerate(KIND_IDS)
    }


@pytest.mark.parametrize("kind", KIND_IDS)
def test_it_passes_its_kit_and_its_own_tests_unmodified(packages, kind):
    package = packages[kind, "plain"]
    tests = sorted(path.name for path in (package / "tests").glob("test_*.py"))
    assert len(tests) == 2
    output = run(
        ["pytest", "-q", "-p", "no:cacheprovider", "-p", "pytest_asyncio.plugin", "-p", "llmgate.testing.plugin"],
        package,
        path=[package / "src"],
    )
    found = re.search(r"(\d+) passed", output)
    assert found is not None, output
    assert int(found[1]) > 15
    assert "failed" not in output


def test_ruff_has_nothing_to_say_whatever_the_name(packages):
    folders = [str(package) for package in packages.values()]
    run(["ruff", "check", "--no-cache", *folders], folders[0])
    run(["ruff", "format", "--check", "--no-cache", *folders], folders[0])


def test_mypy_strict_has_nothing_to_say(packages, tmp_path):
    sources = [package / "src" for (_, which), package in packages.items() if which == "plain"]
    tests = [path for source in sources for path in (source.parent / "tests").glob("test_*.py")]
    for number, path in enumerate(tests):  # all at once, under names of their own
        (tmp_path / f"{path.stem}_{number}.py").write_text(path.read_text())
    output = run(["mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), *map(str, sources), str(tmp_path)],
                 tmp_path, seconds=110, path=sources)  # fmt: skip
    assert "Success" in output


@pytest.mark.parametrize("kind", KIND_IDS)
def test_it_is_whole(packages, kind):
    package = packages[kind, "plain"]
    project = tomllib.loads((package / "pyproject.toml").read_text())
    assert project["project"]["name"] == f"llmgate-my-{kind}"
    assert project["project"]["license"] == "Apache-2.0"
    assert project["project"]["entry-points"] == {"llmgate": {f"my-{kind}": f"llmgate_my_{kind}"}}
    files = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    wanted = {"__init__.py", "config.py", "py.typed"}
    assert {"pyproject.toml", "README.md", "CHANGELOG.md", "tests/test_conformance.py"} <= files
    assert {f"src/llmgate_my_{kind}/{name}" for name in wanted} <= files
    assert not [name for name in files if "{{" in (package / name).read_text()]


@pytest.mark.parametrize("kind", KIND_IDS)
def test_its_readme_names_every_key_with_its_default(packages, kind, module):
    stage = getattr(module(kind), kind_named(kind).hook)()
    text = (packages[kind, "plain"] / "README.md").read_text()
    keys = [name.strip("_").replace("_", "-") for name in (field.name for field in stage.config_class.__attrs_attrs__)]
    assert keys
    assert [key for key in keys if f"\n| `{key}` |" not in text] == []


@pytest.fixture
def module(packages, monkeypatch) -> Callable[[str], Any]:
    """Imports the plain package of a kind."""

    def find(kind: str) -> Any:
        monkeypatch.syspath_prepend(str(packages[kind, "plain"] / "src"))
        return importlib.import_module(f"llmgate_my_{kind}")

    return find


@pytest.fixture
def gateway(module, packages, tmp_path) -> Any:
    """A pipeline made of the configuration in a package's README, its vendors played by ``upstream``."""

    @asynccontextmanager
    async def opened(kind: str, upstream: FakeUpstream | None = None) -> AsyncIterator[Pipeline]:
        readme = (packages[kind, "plain"] / "README.md").read_text()
        (text,) = re.findall(r"(?ms)^```yaml\n(.*?)^```$", readme)
        if "providers:" not in text:
            text += "providers: {echo: {}}\n"
        (tmp_path / "llmgate.yaml").write_text(text)
        environment = {f"{name}_KEY": "sk-one" for name in ("OPENAI_API", "ANTHROPIC_API", "MY_SERVER")}
        for provider in ("OPENAI", "ANTHROPIC", "MY_SERVER"):
            if upstream is not None and provider.lower().replace("_", "-") in text:
                environment[f"LLMGATE__PROVIDERS__{provider}__BASE_URL"] = upstream.base_url
        path = tmp_path / "llmgate.yaml"
        async with Pipeline.from_config(path, environment=environment, plugins=[module(kind)]) as pipeline:
            yield pipeline

    return opened


@pytest.mark.parametrize("kind", KIND_IDS)
def test_its_hook_is_its_kinds(kind, module):
    plugin = module(kind)
    (hook,) = (name for name in plugin.__all__ if name.startswith("llmgate_"))
    assert hook == kind_named(kind).hook
    assert issubclass(getattr(plugin, hook)(), kind_named(kind).base)


class TestServing:
    """The configuration that the README shows serves a request, and the stage has a part in it."""

    async def test_auth(self, gateway, tmp_path):
        digest = hashlib.sha256(b"the token").hexdigest()
        (tmp_path / "tokens.txt").write_text(f"alice sha256:{digest}\n")
        async with gateway("auth") as pipeline:
            answer = await pipeline.complete(model="echo", messages=HELLO, credentials=Credentials.of("the token"))
        assert (answer.text, answer.exchange.principal) == ("Hello!", "alice")
        assert answer.exchange.principal_issuer == "my-auth"

    async def test_secrets(self, gateway, tmp_path):
        (tmp_path / "secrets.json").write_text(json.dumps({"openai": "sk-in-the-file"}))
        async with FakeUpstream() as upstream, gateway("secrets", upstream) as pipeline:
            assert (await pipeline.complete(model="openai/gpt-4o-mini", messages=HELLO)).text
        assert upstream.requests[0].headers["authorization"] == "Bearer sk-in-the-file"

    async def test_routing(self, gateway):
        async with FakeUpstream() as upstream, gateway("routing", upstream) as pipeline:
            asked = {"model": "gpt-4o-mini", "messages": HELLO, "router": "main"}
            served = [(await pipeline.complete(**asked)).exchange.provider_name for _ in range(4)]
        assert served == ["openai", "anthropic", "openai", "anthropic"]

    async def test_providers(self, gateway):
        async with FakeUpstream() as upstream, gateway("providers", upstream) as pipeline:
            assert (await pipeline.complete(model="my-server/org/small", messages=HELLO)).text
            async with pipeline.stream(model="my-server/small", messages=HELLO) as chunks:
                assert "".join([chunk.text async for chunk in chunks])
        paths = [request.path for request in upstream.requests]
        assert paths == ["/v1/models/org%2Fsmall/chat/completions", "/v1/models/small/chat/completions"]
        assert upstream.requests[0].headers["authorization"] == "Bearer sk-one"

    async def test_interceptors(self, gateway):
        async with gateway("interceptors") as pipeline:
            answer = await pipeline.complete(model="echo", messages=HELLO)
            with pytest.raises(InvalidRequestError) as caught:
                await pipeline.complete(model="echo", messages=[{"role": "user", "content": "Where is the Falcon?"}])
        assert answer.exchange.metadata["my-interceptors"] == "passed"
        assert caught.value.code == "word_refused"

    async def test_state(self, gateway):
        async with gateway("state") as pipeline:
            store = pipeline.snapshot.state["my-state"]
            assert await store.add("requests") == 1
            assert (await pipeline.complete(model="echo", messages=HELLO)).text == "Hello!"

    async def test_loggers(self, gateway, tmp_path):
        async with gateway("loggers") as pipeline:
            answer = await pipeline.complete(model="echo", messages=HELLO)
        lines = (tmp_path / "exchanges.csv").read_text().splitlines()
        assert lines[0] == "id,outcome,principal,request_model,duration"
        assert lines[1].startswith(f"{answer.exchange.id},ok,local,echo,")
        assert len(lines) == 2

    async def test_pages(self, gateway, module, tmp_path):
        async with gateway("pages") as pipeline:
            assert list(pipeline.snapshot.pages) == ["/my-pages"]
        settings = {
            "providers": {"echo": {}},
            "loggers": [{"use": "json-lines", "path": str(tmp_path / "records.jsonl")}],
            "pages": ["my-pages"],
        }
        async with loopback(settings, plugins=[module("pages")]) as one:
            await one.post({"model": "echo/echo", "messages": HELLO}, "/v1/chat/completions")
            page = ""
            while "<p>1 requests</p>" not in page:
                async with one.client.get(f"http://127.0.0.1:{one.port}/my-pages") as response:
                    page = await response.text()
        assert "<td>echo</td><td>1</td><td>0</td>" in page

    async def test_domains(self, gateway, tmp_path):
        (tmp_path / "domains.csv").write_text("2026-01-01T00:00:00+00:00,a.example,denied,,,,\n")
        async with gateway("domains") as pipeline:
            events = await pipeline.snapshot.domains.read()
        assert [(event.domain, event.action) for event in events] == [("a.example", "denied")]
