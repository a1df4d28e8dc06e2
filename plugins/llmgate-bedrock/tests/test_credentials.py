"""Credentials are found as AWS's own tools find them, beside the event loop, within a bound."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from llmgate_bedrock.config import AwsCredentialsConfig
from llmgate_bedrock.credentials import AwsCredentials

from llmgate.codecs.aws_keys import Keys
from llmgate.spec import SecretNotFoundError, SecretRef, StageContext
from llmgate.testing.clock import FakeClock
from llmgate.testing.transport import ScriptedTransport

DEFAULT = SecretRef("aws", "default")
FILE = "[default]\naws_access_key_id = AKIDFILE\naws_secret_access_key = of-the-file\n"
OTHER = "[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = of-work\naws_session_token = t\n"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(autouse=True)
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of this machine's: no files, no variables, no metadata service."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


async def opened(clock: FakeClock, environment: dict[str, str] | None = None, **config: Any) -> AwsCredentials:
    store = AwsCredentials(AwsCredentialsConfig(**config))

    async def no_secret(ref: SecretRef) -> Any:
        raise SecretNotFoundError(str(ref))

    context = StageContext(
        "secrets.aws",
        clock,
        ScriptedTransport([]),
        no_secret,
        lambda _: None,
        environment or {},  # type: ignore[arg-type, return-value]
    )
    await store.open(context)
    return store


async def test_the_environment_of_the_gateway_comes_first(clock: FakeClock, own_files: Path) -> None:
    (own_files / "credentials").write_text(FILE)
    store = await opened(clock, {"AWS_ACCESS_KEY": "AKIDENV", "AWS_SECRET_KEY": "of-the-environment"})
    secret = await store.fetch(DEFAULT)
    assert Keys.of_text(secret.reveal()) == Keys("AKIDENV", "of-the-environment")
    assert "of-the-environment" not in f"{secret!r} {store!r}"
    await store.aclose()
    with pytest.raises(SecretNotFoundError, match="not open"):
        await store.fetch(DEFAULT)


async def test_files_and_profiles(clock: FakeClock, own_files: Path) -> None:
    (own_files / "credentials").write_text(FILE + OTHER)
    store = await opened(clock)
    assert Keys.of_text((await store.fetch(DEFAULT)).reveal()) == Keys("AKIDFILE", "of-the-file")
    work = await store.fetch(SecretRef("aws", "work"))
    assert Keys.of_text(work.reveal()) == Keys("AKIDWORK", "of-work", "t")
    for path in ("missing", "", "a/b", "x" * 200):
        with pytest.raises(SecretNotFoundError, match="aws:"):
            await store.fetch(SecretRef("aws", path))


async def test_what_is_missing_is_named_in_both_spellings(clock: FakeClock) -> None:
    with pytest.raises(SecretNotFoundError, match=r"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY \(AWS_ACCESS_KEY and"):
        await (await opened(clock)).fetch(DEFAULT)
    clash = {"AWS_ACCESS_KEY_ID": "a", "AWS_ACCESS_KEY": "b", "AWS_SECRET_ACCESS_KEY": "s"}
    with pytest.raises(SecretNotFoundError, match="both set and differ"):
        await (await opened(clock, clash)).fetch(DEFAULT)


async def test_credentials_are_looked_at_again_after_a_while_and_once_for_all_who_ask(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []

    def look(_: AwsCredentials, profile: str) -> Keys:
        assert threading.current_thread() is not threading.main_thread(), "botocore may block"
        found.append(profile)
        return Keys(f"AKID{len(found)}", "s", "t")

    monkeypatch.setattr(AwsCredentials, "_look", look)
    store = await opened(clock, refresh=30)
    first = await asyncio.gather(*(store.fetch(DEFAULT) for _ in range(20)))
    assert len(found) == 1
    clock.advance(31)
    second = await store.fetch(DEFAULT)
    assert second.fingerprint != first[0].fingerprint
    assert found == ["default", "default"]


async def test_looking_takes_no_longer_than_it_may(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = threading.Event()
    monkeypatch.setattr(AwsCredentials, "_look", lambda *_: hanging.wait(20))
    try:
        with pytest.raises(SecretNotFoundError, match=r"took more than 0\.05 seconds"):
            await (await opened(clock, timeout=0.05)).fetch(DEFAULT)
    finally:
        hanging.set()
