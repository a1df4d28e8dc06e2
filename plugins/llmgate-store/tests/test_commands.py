"""``llmgate keys …`` and ``llmgate db …``, as an operator calls them, and the keys they make, in a gateway."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from llmgate_store.commands.moments import duration, read_moment, written
from store_bench import PEPPER, making_database

import llmgate
from llmgate.cli import main
from llmgate.spec import AuthenticationError, PermissionDeniedError, RateLimitError

CONFIG = """\
providers:
  echo: {models: [echo, other, third]}
interceptors:
  - {use: rate-limit, own-limits: true}
auth:
  - use: issued-keys
    poll: 0.05
    database:
      migrations: MIGRATIONS
"""
QUESTION: dict[str, Any] = {"model": "echo/echo", "messages": [{"role": "user", "content": "Hello!"}]}
Run: TypeAlias = Callable[..., str]


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def here(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The operator's directory, with a configuration and an empty database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMGATE_KEY_PEPPER", PEPPER)
    (tmp_path / "llmgate.yaml").write_text(CONFIG.replace("MIGRATIONS", "at-start"))
    with making_database(request.param, tmp_path) as url:
        monkeypatch.setenv("LLMGATE_DATABASE_URL", url)
        yield tmp_path


@pytest.fixture
def run(here: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command and returns what it prints."""

    def call(*arguments: str, status: int = 0) -> str:
        assert main(arguments) == status
        out, err = capsys.readouterr()
        return out if status == 0 else out + err

    assert here.is_dir()
    return call


def key_in(out: str) -> str:
    (key,) = re.findall(r"(?m)^  (sk-lg-\S+)$", out)
    return key


def test_a_key_is_shown_once_and_its_public_part_thereafter(run: Run):
    out = run("keys", "create", "--name", "laptop", "--owner", "jane", "--team", "Search", "--expires", "30d")
    key = key_in(out)
    public = key[6:18]
    for shown in (run("keys", "list"), run("keys", "show", public), run("keys", "show", public, "--json")):
        assert key not in shown
        assert public in shown
    line = next(one for one in run("keys", "list").splitlines() if one.startswith(public))
    assert line.split()[1:6] == ["laptop", "jane", "Search", "personal", "active"]


def test_programs_read_json(run: Run):
    made = json.loads(
        run("keys", "create", "--name", "ci", "--kind", "team", "--team", "t", "--model", "echo/*", "--model", "gpt-*",
            "--deny-model", "*-preview", "--scope", "chat", "--address", "127.0.0.0/8",
            "--provider-key", "openai=vault:a/b", "--limit", "tokens=1000/1d",
            "--limit", "concurrent=5", "--issued-by", "joe", "--json")
    )  # fmt: skip
    shown = json.loads(run("keys", "show", made["id"], "--json"))
    key = made.pop("key")
    assert shown == made
    assert key.startswith(f"sk-lg-{made['id']}-")
    assert (shown["owner"], shown["issued_by"], shown["kind"]) == (getpass.getuser(), "joe", "team")
    assert (shown["models"], shown["denied_models"]) == (["echo/*", "gpt-*"], ["*-preview"])
    assert shown["secrets"] == {"openai": "vault:a/b"}
    assert [one["unit"] for one in shown["limits"]] == ["tokens", "concurrent"]
    described = run("keys", "show", made["id"])
    assert "openai=vault:a/b" in described
    assert "tokens=1000/86400s, concurrent=5" in described
    assert (shown["scopes"], shown["addresses"]) == (["chat"], ["127.0.0.0/8"])
    assert [one["id"] for one in json.loads(run("keys", "list", "--json", "--team", "t"))] == [made["id"]]
    assert json.loads(run("keys", "list", "--json", "--team", "other")) == []


def test_a_key_is_replaced_and_revoked(run: Run):
    old = key_in(run("keys", "create", "--name", "laptop"))
    rotated = run("keys", "rotate", old[6:18], "--overlap", "1h")
    new = key_in(rotated)
    assert f"key {old[6:18]} works until" in rotated
    assert "has been replaced by" in run("keys", "rotate", old[6:18], status=1)
    assert run("keys", "revoke", new[6:18], "--reason", "lost") == f"{new[6:18]}: revoked\n"
    assert run("keys", "revoke", new[6:18]) == f"{new[6:18]}: was revoked before\n"
    assert json.loads(run("keys", "revoke", new[6:18], "--family", "--json")) == {"revoked": [old[6:18]]}
    assert len(run("keys", "list").splitlines()) == 1
    assert len(run("keys", "list", "--all").splitlines()) == 3
    assert "lost" in run("keys", "show", new[6:18])


@pytest.mark.parametrize("here", ["sqlite"], indirect=True)
class TestMistakes:
    def test_a_key_that_is_not_there_is_named(self, run: Run):
        for action in ("show", "rotate", "revoke"):
            assert "there is no key AAAAAAAAAAAA" in run("keys", action, "A" * 12, status=1)

    def test_a_whole_key_is_no_argument(self, run: Run, capsys: pytest.CaptureFixture[str]):
        key = key_in(run("keys", "create", "--name", "laptop"))
        with pytest.raises(SystemExit):
            main(["keys", "revoke", key])
        err = capsys.readouterr().err
        assert "stands in your shell's history" in err
        assert key not in err

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--scope", "chats"], "scopes: 'chats' is not one of chat,"),
            (["--address", "10.0.0.1/8"], "addresses: 10.0.0.1/8 has host bits set: write 192.0.2.0/24"),
            (["--kind", "team"], "team: a key of the kind team names its team"),
            (["--deny-model", ""], "denied_models: '' is no pattern"),
            (["--limit", "requests=5"], "limits: requests needs a time"),
            (["--limit", "concurrent=5/1m"], "limits: concurrent takes no time"),
        ],
    )
    def test_a_key_that_makes_no_sense_is_not_made(self, run: Run, arguments: list[str], said: str):
        assert said in run("keys", "create", "--name", "x", *arguments, status=2)
        assert json.loads(run("keys", "list", "--all", "--json")) == []

    @pytest.mark.parametrize("text", ["sk-proj-canary", "openai", "openai=sk-proj-canary", "=vault:x", "openai=:x"])
    def test_a_provider_key_in_the_place_of_its_reference_is_refused_unseen(self, run: Run, capsys, text: str):
        with pytest.raises(SystemExit):
            run("keys", "create", "--name", "x", "--provider-key", text)
        err = capsys.readouterr().err
        assert "write PROVIDER=STORE:PATH" in err
        assert "canary" not in err

    def test_without_a_pepper_no_key_is_made(self, run: Run, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delenv("LLMGATE_KEY_PEPPER")
        assert "LLMGATE_KEY_PEPPER" in run("keys", "create", "--name", "x", status=1)
        monkeypatch.setenv("LLMGATE_KEY_PEPPER", "changeme")
        said = run("keys", "create", "--name", "x", status=2)
        assert "openssl rand -hex 32" in said
        assert "changeme" not in said

    def test_a_limit_that_nothing_would_keep_is_refused(self, run: Run, here: Path):
        text = (here / "llmgate.yaml").read_text()
        (here / "llmgate.yaml").write_text(text.replace("own-limits: true", "own-limits: false"))
        assert "nothing would keep the limit" in run(
            "keys", "create", "--name", "x", "--limit", "requests=5/1m", status=2
        )

    async def test_each_key_is_held_to_its_own_limit(self, here: Path):
        def make(*arguments: str) -> str:
            program = [sys.executable, "-m", "llmgate", "keys", "create", "--name", "x", *arguments]
            return key_in(
                subprocess.run(program, capture_output=True, text=True, check=True, cwd=here, timeout=150).stdout
            )

        small, large, free = make("--limit", "requests=2/1h"), make("--limit", "requests=4/1h"), make()
        async with llmgate.Pipeline.from_config(here / "llmgate.yaml") as pipeline:
            for key, granted in ((small, 2), (large, 4), (free, 6)):
                answers = []
                for _ in range(6):
                    try:
                        await pipeline.complete(api_key=key, **QUESTION)
                    except RateLimitError:
                        continue
                    answers.append(key)
                assert len(answers) == granted

    def test_a_configuration_without_issued_keys_says_what_to_write(self, run: Run, here: Path):
        (here / "llmgate.yaml").write_text("providers: {echo: {}}\n")
        assert "write `- use: issued-keys` under auth" in run("keys", "list", status=2)
        assert "no stage of it uses issued-keys" in run("db", "status", status=2)


def test_tables_are_made_by_hand_where_the_operator_wants_that(run: Run, here: Path):
    (here / "llmgate.yaml").write_text(CONFIG.replace("MIGRATIONS", "by-hand"))
    assert "run `llmgate db upgrade`" in run("keys", "list", status=1)
    assert "auth[0]  none" in run("db", "status", status=1)
    assert "auth[0]: the tables are of version" in run("db", "upgrade")
    report = json.loads(run("db", "status", "--json"))
    assert report["databases"] == {"auth[0]": report["wanted"]}
    assert "auth[0]" in run("db", "upgrade")
    assert run("keys", "list").startswith("KEY")


@pytest.mark.parametrize("here", ["sqlite"], indirect=True)
async def test_a_gateway_serves_the_keys_that_the_commands_make_and_drops_those_they_revoke(here: Path):
    def call(*arguments: str) -> str:
        program = [sys.executable, "-m", "llmgate", *arguments]
        return subprocess.run(program, capture_output=True, text=True, check=True, cwd=here, timeout=150).stdout

    key = key_in(call("keys", "create", "--name", "laptop", "--deny-model", "third", "--scope", "chat"))
    async with llmgate.Pipeline.from_config(here / "llmgate.yaml") as pipeline:
        answer = await pipeline.complete(api_key=key, **QUESTION)
        assert (answer.exchange.principal, answer.exchange.principal_issuer) == (key[6:18], "issued-keys")
        assert "echo/third" not in [one.id for one in await pipeline.models(api_key=key)]
        with pytest.raises(PermissionDeniedError, match="may not call model"):
            await pipeline.complete(api_key=key, **{**QUESTION, "model": "echo/third"})
        with pytest.raises(PermissionDeniedError, match="may not ask for embeddings"):
            await pipeline.embed(api_key=key, model="echo/echo", input="x")
        call("keys", "revoke", key[6:18])
        for _ in range(100):
            try:
                await pipeline.complete(api_key=key, **QUESTION)
            except AuthenticationError as refused:
                assert str(refused) == "Invalid credentials"  # noqa: PT017 - it may take a moment
                break
            await asyncio.sleep(0.01)
        else:
            pytest.fail("the revoked key works still")


def test_lengths_of_time_and_moments_are_read_as_people_write_them():
    assert [duration(text) for text in ("90", "90s", "15m", "24h", "30d")] == [90, 90, 900, 86400, 2_592_000]
    assert read_moment("1h", 100.0) == 3700.0
    assert read_moment("1970-01-02", 0) == 86400
    assert read_moment("1970-01-01T02:00:00+01:00", 0) == 3600
    assert written(0) == "1970-01-01 00:00"
    assert written(None) == "-"
    for text in ("", "x", "-1d", "1w", "2027-13-01"):
        with pytest.raises(argparse.ArgumentTypeError):
            read_moment(text, 0)
