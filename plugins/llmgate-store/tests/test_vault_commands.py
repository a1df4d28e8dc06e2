"""``llmgate vault …``: a secret goes in by standard input, shows nowhere, and reaches its provider."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

import llmgate
from llmgate.cli import main
from llmgate.spec import NoDeploymentError
from llmgate.testing.transport import ScriptedTransport, json_answer

SECRET = "sk-proj-canary-0123456789"
MASTER, NEXT = os.urandom(32).hex(), os.urandom(32).hex()
CONFIG = """\
secrets:
  vault:
    use: sql-vault
    cache: {refresh: 0.05, pause: 0.05}
providers:
  openai:
    secret: vault:team-a/openai
"""
Run: TypeAlias = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command and returns what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMGATE_VAULT_KEY", MASTER)
    monkeypatch.delenv("LLMGATE_DATABASE_URL", raising=False)
    (tmp_path / "llmgate.yaml").write_text(CONFIG)

    def call(*arguments: str, stdin: str | io.StringIO = "", status: int = 0) -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin) if isinstance(stdin, str) else stdin)
        assert main(arguments) == status
        out, err = capsys.readouterr()
        assert SECRET not in out + err
        return out + err

    return call


def test_a_secret_is_put_listed_and_removed(run: Run, tmp_path: Path):
    assert "team-a/openai: version 1" in run("vault", "put", "team-a/openai", "--note", "sales", stdin=f"{SECRET}\n")
    assert "version 2" in run("vault", "put", "team-a/openai", "--by", "jane", stdin=f"{SECRET}\r\n")
    (line,) = run("vault", "list").splitlines()[1:]
    assert line.split()[:2] == ["team-a/openai", "2"]
    (described,) = json.loads(run("vault", "list", "--json"))
    assert (described["version"], described["created_by"]) == (2, "jane")
    assert run("vault", "remove", "team-a/openai") == "team-a/openai: removed\n"
    assert "there is no secret" in run("vault", "remove", "team-a/openai", status=1)
    for file in tmp_path.iterdir():
        assert SECRET.encode() not in file.read_bytes(), file


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_secret_is_asked_for_at_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    monkeypatch.setattr("getpass.getpass", lambda prompt: asked.append(prompt) or SECRET)
    assert "version 1" in run("vault", "put", "openai", stdin=Terminal())
    assert asked == ["the secret openai: "]


@pytest.mark.parametrize("stdin", ["", "\n", "  ", "x" * 20_000])
def test_no_secret_and_too_much_of_one_are_refused(run: Run, stdin: str):
    assert "there is no secret on standard input" in run("vault", "put", "openai", stdin=stdin, status=2)


@pytest.mark.parametrize("name", [SECRET, "a b", "../x", ""])
def test_a_secret_in_the_place_of_its_name_is_refused(run: Run, capsys: pytest.CaptureFixture[str], name: str):
    with pytest.raises(SystemExit):
        run("vault", "put", name)
    assert SECRET not in capsys.readouterr().err


def test_without_a_vault_or_a_master_key_it_says_what_is_missing(run: Run, tmp_path: Path, monkeypatch):
    monkeypatch.delenv("LLMGATE_VAULT_KEY")
    assert "LLMGATE_VAULT_KEY" in run("vault", "put", "openai", stdin=SECRET, status=1)
    assert run("vault", "list").startswith("NAME")
    (tmp_path / "llmgate.yaml").write_text("providers: {echo: {}}\n")
    assert "write `vault: {use: sql-vault}` under secrets" in run("vault", "list", status=2)


async def test_the_secret_reaches_its_provider_and_a_new_one_does_without_a_restart(run: Run, tmp_path: Path):
    """The operator's commands are run in threads, each in an event loop of its own, while the gateway serves."""
    transport = ScriptedTransport()
    question: dict[str, Any] = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
    await asyncio.to_thread(run, "vault", "put", "other", stdin="unrelated")
    async with llmgate.Pipeline.from_config(tmp_path / "llmgate.yaml", transport=transport) as pipeline:

        async def sent() -> str:
            transport.add(_answer())
            await pipeline.complete(**question)
            return dict(transport.requests[-1].headers)["authorization"]

        with pytest.raises(NoDeploymentError, match="put it there with `llmgate vault put`"):
            await pipeline.complete(**question)
        for secret in (SECRET, f"{SECRET}-rotated"):
            await asyncio.to_thread(run, "vault", "put", "team-a/openai", stdin=secret)
            async with asyncio.timeout(20):
                while await _or_nothing(sent()) != f"Bearer {secret}":  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.05)


def test_a_new_master_key_takes_over_while_the_old_one_is_still_known(run: Run, tmp_path: Path, monkeypatch):
    run("vault", "put", "team-a/openai", stdin=SECRET)
    monkeypatch.setenv("LLMGATE_VAULT_KEY", NEXT)
    monkeypatch.setenv("FORMER_KEY", MASTER)
    assert "which is not among those given" in run("vault", "rekey", status=1)
    extended = CONFIG.replace(
        "cache: {refresh: 0.05, pause: 0.05}", "cache: {refresh: 0.05}\n    former-master-keys: [env:FORMER_KEY]"
    )
    (tmp_path / "llmgate.yaml").write_text(extended)
    assert run("vault", "rekey").startswith("1 sealed with the master key ")
    (tmp_path / "llmgate.yaml").write_text(CONFIG)
    assert run("vault", "rekey").startswith("0 sealed")
    assert "found" in run("secrets", "check")


async def _or_nothing(asking: Awaitable[str]) -> str | None:
    try:
        return await asking
    except NoDeploymentError:
        return None


def _answer() -> Any:
    body = {"id": "x", "object": "chat.completion", "model": "m", "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}]}  # fmt: skip
    return json_answer(body)
