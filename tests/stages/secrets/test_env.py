"""``env``: the environment as it is now, and ``.env`` as it is now."""

from __future__ import annotations

import logging

import pytest

from llmgate.spec import SecretNotFoundError, SecretRef, StageContext
from llmgate.stages.secrets.env import Env, EnvConfig
from llmgate.testing.clock import FakeClock
from llmgate.testing.transport import ScriptedTransport

KEY = SecretRef("env", "OPENAI_API_KEY")


async def opened(environment, clock=None, dotenv=None, **config):
    def nothing(_):
        raise AssertionError

    stage = Env(EnvConfig(**config))
    await stage.open(
        StageContext(
            id="secrets.env",
            clock=clock or FakeClock(),
            transport=ScriptedTransport(),
            fetch_secret=nothing,
            state=nothing,
            environment=environment,
            dotenv=dotenv,
        )
    )
    return stage


async def value(stage):
    return (await stage.fetch(KEY)).reveal()


async def test_the_environment_is_read_live():
    environment = {}
    stage = await opened(environment)
    environment["OPENAI_API_KEY"] = "sk-1"
    assert await value(stage) == "sk-1"


async def test_what_has_not_changed_is_given_again_with_the_fingerprint_that_was_made_of_it():
    environment = {"OPENAI_API_KEY": "sk-1"}
    stage = await opened(environment)
    first = await stage.fetch(KEY)
    assert await stage.fetch(KEY) is first
    environment["OPENAI_API_KEY"] = "sk-2"
    assert (await stage.fetch(KEY)).fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("environment", "state"), [({}, "is not set"), ({"OPENAI_API_KEY": ""}, "is empty")], ids=["absent", "empty"]
)
async def test_the_message_names_the_variable_to_set(environment, state):
    stage = await opened(environment)
    with pytest.raises(SecretNotFoundError) as caught:
        await stage.fetch(KEY)
    assert str(caught.value) == (
        f"env:OPENAI_API_KEY: OPENAI_API_KEY {state}; set the environment variable OPENAI_API_KEY"
    )


async def test_a_prefix_is_put_before_the_name():
    stage = await opened({"PROD_OPENAI_API_KEY": "sk-prod", "OPENAI_API_KEY": "sk-other"}, prefix="PROD_")
    assert await value(stage) == "sk-prod"


class TestDotenv:
    async def test_the_environment_wins(self, tmp_path):
        (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-file\n")
        stage = await opened({"OPENAI_API_KEY": "sk-env"}, dotenv=tmp_path / ".env")
        assert await value(stage) == "sk-env"

    async def test_the_file_fills_what_is_not_set(self, tmp_path):
        (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-file\n")
        stage = await opened({}, dotenv=tmp_path / ".env")
        secret = await stage.fetch(KEY)
        assert secret.reveal() == "sk-file"
        assert secret.version == str((tmp_path / ".env").stat().st_mtime_ns)

    async def test_a_change_is_seen_though_the_host_filled_its_environment_from_the_file(self, tmp_path):
        clock = FakeClock()
        (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-old\n")
        stage = await opened({"OPENAI_API_KEY": "sk-old"}, clock, tmp_path / ".env")
        (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-rotated\n")
        assert await value(stage) == "sk-old", "not looked at again within the second"
        clock.advance(1)
        assert await value(stage) == "sk-rotated"

    async def test_a_file_that_appears_later_is_read(self, tmp_path):
        clock = FakeClock()
        stage = await opened({}, clock, tmp_path / ".env")
        with pytest.raises(SecretNotFoundError):
            await stage.fetch(KEY)
        (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-file\n")
        clock.advance(1)
        assert await value(stage) == "sk-file"

    async def test_a_file_that_cannot_be_read_keeps_its_last_values_and_the_log_shows_none(self, tmp_path, caplog):
        caplog.set_level(logging.WARNING)
        clock = FakeClock()
        (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-file\n")
        stage = await opened({}, clock, tmp_path / ".env")
        (tmp_path / ".env").write_bytes(b"OPENAI_API_KEY=sk-canary\xff\n")
        clock.advance(1)
        assert await value(stage) == "sk-file"
        assert "keeps its last values" in caplog.text
        assert "canary" not in caplog.text

    async def test_a_closed_store_has_nothing(self, tmp_path):
        stage = await opened({"OPENAI_API_KEY": "sk-1"})
        await stage.aclose()
        with pytest.raises(SecretNotFoundError, match="not open"):
            await stage.fetch(KEY)


async def test_a_file_that_is_being_written_is_not_yet_empty(tmp_path):
    clock = FakeClock()
    file = tmp_path / ".env"
    file.write_text("OPENAI_API_KEY=old\n")
    stage = await opened({}, clock, file)
    file.write_text("")
    clock.advance(1)
    assert await value(stage) == "old"
    file.write_text("OPENAI_API_KEY=new\n")
    clock.advance(1)
    assert await value(stage) == "new"
    file.write_text("")
    clock.advance(1)
    assert await value(stage) == "new"
    clock.advance(1)
    with pytest.raises(SecretNotFoundError):
        await value(stage)
