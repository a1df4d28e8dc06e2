from __future__ import annotations

import asyncio

import pytest
from requests import PreparedRequest

from llmgate.spec import Secret, SecretNotFoundError, SecretRef, SecretUnavailableError
from llmgate.telemetry.headers import ExportHeaders

REF = SecretRef("env", "KEY")


class Store:
    """Gives one value, or fails as it is told."""

    def __init__(self, value: str | SecretNotFoundError) -> None:
        self.value = value

    async def fetch(self, ref: SecretRef) -> Secret:
        if isinstance(self.value, SecretNotFoundError):
            raise self.value
        return Secret(self.value, ref)


def sent(headers: ExportHeaders) -> dict[str, str]:
    request = PreparedRequest()
    request.prepare("POST", "http://127.0.0.1:9/v1/traces")
    return {name.lower(): value for name, value in headers(request).headers.items()}


async def test_secrets_are_fetched_for_each_request_and_texts_are_sent_as_they_are() -> None:
    store, headers = Store("Basic b2xk\n"), ExportHeaders({"authorization": REF, "x-scope-orgid": "team-a"})
    await headers.look(store.fetch)
    headers.lead_to(store.fetch)
    assert (await asyncio.to_thread(sent, headers))["authorization"] == "Basic b2xk"
    store.value = "Basic bmV3"
    told = await asyncio.to_thread(sent, headers)
    assert (told["authorization"], told["x-scope-orgid"]) == ("Basic bmV3", "team-a")


async def test_the_last_value_holds_while_the_store_does_not_answer() -> None:
    store, headers = Store("Basic b2xk"), ExportHeaders({"authorization": REF})
    await headers.look(store.fetch)
    headers.lead_to(store.fetch)
    store.value = SecretUnavailableError("env:KEY: down")
    assert (await asyncio.to_thread(sent, headers))["authorization"] == "Basic b2xk"


async def test_nothing_is_sent_without_a_secret_that_was_never_there() -> None:
    store, headers = Store(SecretUnavailableError("env:KEY: down")), ExportHeaders({"authorization": REF})
    await headers.look(store.fetch)
    headers.lead_to(store.fetch)
    with pytest.raises(SecretUnavailableError, match=r"telemetry\.otlp-headers"):
        await asyncio.to_thread(sent, headers)


@pytest.mark.parametrize("value", ["canary\r\nx-other: 1", "cänary", ""])
async def test_what_is_no_header_is_refused_and_not_shown(value: str) -> None:
    headers = ExportHeaders({"authorization": REF})
    with pytest.raises(SecretNotFoundError, match=r"authorization: what is behind env:KEY is no header") as caught:
        await headers.look(Store(value).fetch)
    assert "nary" not in str(caught.value)
