"""Loading: what wins over what, and which file is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.fakes import Loader, fake_names, find_fake
from llmgate.config import blocked_plugins, find_file, load, loading
from llmgate.spec import ConfigError, PluginError


def test_defaults_then_file_then_environment(loader: Loader) -> None:
    config = loader.text(
        "server: {port: 1, address: 127.0.0.2}\nloggers: [python-logging, json-lines]\n",
        AI_GATEWAY__SERVER__PORT="2",
        LLMGATE__SERVER__PORT="3",
        AI_GATEWAY__SERVER__BACKLOG="9",
        LLMGATE__LOGGERS="[json-lines]",
    )
    assert (config.server.port, config.server.address, config.server.backlog) == (3, "127.0.0.2", 9)
    assert [stage.use for stage in config.loggers] == ["json-lines"]


def test_an_empty_variable_goes_back_to_the_default(loader: Loader) -> None:
    assert loader.text("server: {port: 1}", LLMGATE__SERVER__PORT="").server.port == 8080


def test_dotenv_fills_what_the_environment_lacks(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY=a\nGROQ_API_KEY=b\nLLMGATE__SERVER__PORT=5\nwhat is this\n")
    environment = {"LLMGATE__SERVER__PORT": "6"}
    config = load(None, environment=environment, dotenv=tmp_path / ".env", find=find_fake, names=fake_names)
    assert config.server.port == 6
    assert list(config.providers) == ["openai", "groq"]
    assert environment == {"LLMGATE__SERVER__PORT": "6"}
    assert config.warnings == (f"{tmp_path}/.env:4: line ignored, write NAME=value",)


def test_nothing_is_read_from_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    config = load(None, environment={}, find=find_fake, names=fake_names)
    assert list(config.providers) == ["echo"]


def test_sources_say_where_they_are(loader: Loader, tmp_path: Path) -> None:
    loader.text("")
    config = load(tmp_path / "c.yaml", environment={}, find=find_fake, names=fake_names)
    assert (config.directory, config.source) == (tmp_path, str(tmp_path / "c.yaml"))
    assert (loader.mapping({}).source, loader.mapping(None).source) == ("a mapping", "the environment")


def test_problems_of_a_mapping_name_the_path(loader: Loader) -> None:
    with pytest.raises(ConfigError) as caught:
        loader.mapping({"server": {"prot": 1}, "routers": {"a": {"retries": {"factor": 0}}}})
    assert caught.value.problems == (
        "routers.a.retries.factor: 'factor' must be 1 to 1000, not 0",
        "server.prot: unknown key 'prot' in server (did you mean 'port'?)",
    )


def test_a_plugin_that_cannot_be_imported_is_its_own_error(loader: Loader) -> None:
    def find(kind: str, name: str) -> object:
        if name == "broken":
            raise PluginError("plugin 'broken' of llmgate-broken cannot be imported")
        return find_fake(kind, name)

    loader.find = find  # type: ignore[assignment]
    with pytest.raises(PluginError, match="llmgate-broken"):
        loader.text("auth: [broken]")


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: no such file or directory"):
        load(tmp_path / "none.yaml", environment={}, find=find_fake, names=fake_names)


def test_the_first_of_the_known_files_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = tmp_path / "etc.yaml"
    monkeypatch.setattr(loading, "_SYSTEM", (system,))
    assert find_file(tmp_path) is None
    for path in (system, *(tmp_path / name for name in ("ai-gateway-config.yaml", "llmgate.yml", "llmgate.yaml"))):
        path.write_text("")
        assert find_file(tmp_path) == path


def test_blocked_plugins_are_known_before_anything_is_checked(tmp_path: Path) -> None:
    assert blocked_plugins({"plugins": {"block": ["a", "b"]}, "nonsense": 1}, environment={}) == ("a", "b")
    assert blocked_plugins(None, environment={"LLMGATE__PLUGINS__BLOCK": "a, b"}) == ("a", "b")
    assert blocked_plugins({}, environment={}) == ()
    assert blocked_plugins({"plugins": [1]}, environment={}) == ()
    assert blocked_plugins(tmp_path / "none.yaml", environment={}) == ()
