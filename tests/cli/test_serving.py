"""What is refused before it is served, and what is said of a configuration that was read again."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from llmgate.cli.job import Job
from llmgate.cli.serving import Serving, problems_of
from llmgate.config import ConfigText
from llmgate.spec import ConfigError, PluginError
from llmgate.stages.interceptors.request_rules import RequestRules
from llmgate.stages.state.memory import Memory

pytestmark = pytest.mark.usefixtures("here")
STRICT = "providers: {echo: {}}\ninterceptors: [{use: request-rules, max-concurrent-attempts: 4}]\n"
KEYS = "auth: [{use: static-keys, keys: [{name: a, hash: 'sha256:" + "0" * 64 + "'}]}]\n"


def serving(text: str = "", **arguments) -> Serving:
    return Serving(Job(**arguments), ConfigText("llmgate.yaml", text))


def refused(one: Serving) -> str:
    with pytest.raises(ConfigError) as caught:
        one.refuse_unsafe()
    (line,) = problems_of(caught.value)
    return line


def test_an_open_door_needs_a_login_or_the_operators_word():
    assert "--allow-open" in refused(serving(host="0.0.0.0"))
    assert "192.0.2.1" in refused(serving("server: {address: 192.0.2.1}"))
    serving(host="0.0.0.0", allow_open=True).refuse_unsafe()
    serving(KEYS, host="0.0.0.0").refuse_unsafe()
    serving().refuse_unsafe()


def test_a_reload_is_judged_by_the_settings_that_are_in_force():
    running = serving(KEYS, host="0.0.0.0")
    with pytest.raises(ConfigError, match=r"refusing to listen on 0\.0\.0\.0"):
        running.refuse_unsafe(serving("server: {allow-open: true}").pipeline.snapshot)


def test_workers_that_would_each_count_alone_are_refused():
    line = refused(serving(STRICT, workers=2))
    assert "2 workers" in line
    assert "interceptors[0] (request-rules)" in line
    serving(STRICT, workers=1).refuse_unsafe()
    serving(STRICT.replace("max-concurrent-attempts", "max-output-tokens"), workers=2).refuse_unsafe()
    serving(STRICT + "server: {local-share: true}", workers=2).refuse_unsafe()


def test_a_rate_limit_is_counted_together_or_shared_out():
    limit = "providers: {echo: {}}\nrouters: {a: {load-balance: {chat: {strategy: priority, providers: [echo]}}, "
    limit += "rate-limit: {per-api-key: {capacity: 4}}}}\n"
    assert "routers.a.rate-limit (rate-limit)" in refused(serving(limit, workers=2))
    serving(limit, workers=1).refuse_unsafe()
    serving(limit + "server: {local-share: true}", workers=2).refuse_unsafe()


def test_a_shared_state_store_is_enough(monkeypatch):
    """A stage whose config names a state store is held to that store."""
    one = serving(STRICT, workers=2)
    placed = next(each for each in one.pipeline.snapshot.placed if isinstance(each.stage, RequestRules))
    store = one.pipeline.snapshot.state["memory"]
    assert isinstance(store, Memory)
    object.__setattr__(placed.entry, "config", type("OnStore", (), {"state": "memory"})())
    refused(one)
    monkeypatch.setattr(store, "shared", True, raising=False)
    one.refuse_unsafe()


def test_the_shares_of_workers_are_told(caplog):
    caplog.set_level(logging.INFO, "llmgate")
    one = serving(STRICT + "server: {workers: 4, local-share: true}")
    one.announce_shares(one.pipeline.snapshot)
    assert "each of 4 workers grants one part in 4 of the limits of interceptors[0] (request-rules)" in caplog.text


def test_what_only_a_restart_changes_is_told_at_every_reload(caplog):
    caplog.set_level(logging.INFO, "llmgate")
    one = serving("server: {port: 1}")
    again = serving("server: {port: 2, workers: 3}\nproviders: {groq: {}}")
    for _ in range(2):
        caplog.clear()
        one.announce(again.pipeline.snapshot)
        assert "llmgate.yaml has been read again: 1 provider" in caplog.text
        assert "server.port, server.workers: changed in the configuration" in caplog.text
        assert "GROQ_API_KEY" in caplog.text, "warnings are told"
    caplog.clear()
    one.announce(one.pipeline.snapshot)
    assert "restart" not in caplog.text


async def test_following_keeps_the_old_configuration_when_the_new_one_is_refused():
    one = serving(KEYS, host="0.0.0.0")
    async with one.pipeline:
        with pytest.raises(ConfigError, match="refusing to listen"):
            await one.follow(ConfigText("llmgate.yaml", "providers: {echo: {}}"))
        assert one.config.auth

        async def refuse() -> None:
            raise ConfigError("no")

        text = ConfigText("llmgate.yaml", KEYS + "routers: {}\nproviders: {mine: {use: echo}}")
        with pytest.raises(ConfigError, match="no"):
            await one.follow(text, approve=refuse)
        assert "mine" not in one.config.providers
        await one.follow(text)
        assert "mine" in one.config.providers


async def test_a_dotenv_that_comes_later_is_seen(here: Path):
    one = serving()
    async with one.pipeline:
        assert list(one.config.providers) == ["echo"]
        (here / ".env").write_text("GROQ_API_KEY=k\n")
        await one.follow(None)
        assert list(one.config.providers) == ["groq"]


def test_the_problems_of_an_error_are_lines():
    assert problems_of(ConfigError("x", problems=["a", "b"])) == ("a", "b")
    assert problems_of(PluginError("broken")) == ("broken",)
