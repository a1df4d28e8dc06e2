"""How an application is started for a request, and what the connection hears of its end."""

from __future__ import annotations

import asyncio

import pytest

from llmgate.host.credentials import CERTIFICATE
from llmgate.host.spawner import Spawner
from llmgate.spec import ClientCertificate


@pytest.mark.parametrize("fails", [False, True])
async def test_the_application_gets_its_messages_and_its_end_is_told(fails, caplog):
    heard, sent, done = [], [], []

    async def app(scope, receive, send):
        heard.append((scope["path"], (await receive())["body"]))
        if fails:
            raise ValueError("as told")

    async def send(message):
        sent.append(message)

    spawner = Spawner(asyncio.ensure_future, lambda: done.append(True))
    put = await spawner.spawn_app(app, None, {"path": "/x"}, send)  # type: ignore[arg-type]
    await put({"type": "http.request", "body": b"a", "more_body": False})
    for _ in range(5):
        await asyncio.sleep(0)
    assert heard == [("/x", b"a")]
    assert (sent, done) == ([None], [True])
    assert ("the application failed" in caplog.text) is fails


async def test_a_certificate_is_in_the_scope():
    certificate = object.__new__(ClientCertificate)
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)

    async def send(message):
        pass

    spawner = Spawner(asyncio.ensure_future, lambda: None, certificate)
    await spawner.spawn_app(app, None, {}, send)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert scopes[0][CERTIFICATE] is certificate
