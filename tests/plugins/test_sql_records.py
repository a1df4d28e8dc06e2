"""Requests to a gateway whose records are in SQL: asked over HTTP and on the command line, and judged."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from end_to_end.loopback import Loopback, loopback
from llmgate.cli import main

ANN, BOB = "key-of-ann-0123456789012345678901234567890", "key-of-bob-0123456789012345678901234567890"
KEYS = [{"name": "ann", "secret": "env:ANN"}, {"name": "bob", "secret": "env:BOB"}]


async def get(one: Loopback, path: str, key: str = ANN) -> Any:
    async with one.client.get(
        f"http://127.0.0.1:{one.port}{path}", headers={"authorization": f"Bearer {key}"}
    ) as reply:
        return json.loads(await reply.read())


async def test_a_request_is_found_judged_and_added_up(tmp_path: Path, capsys, monkeypatch):
    settings = {
        "providers": {"echo": {}},
        "auth": [{"use": "static-keys", "keys": KEYS}],
        "loggers": [{"use": "sql", "database": {"url": f"sqlite:///{tmp_path}/records.db"}}],
    }
    body = {"model": "echo/echo", "messages": [{"role": "user", "content": "hi"}]}
    async with loopback(settings, environment={"ANN": ANN, "BOB": BOB}) as one:
        mine = await one.post(body, "/v1/chat/completions", authorization=f"Bearer {ANN}", helicone_user_id="u1")
        await one.post(body, "/v1/chat/completions", authorization=f"Bearer {BOB}")
        record_id = mine.headers["helicone-id"]
        given = {"request_id": record_id, "rating": True, "scores": {"helpful": 0.9}, "comment": "fine"}
        reply = await one.post(given, "/v1/feedback", authorization=f"Bearer {ANN}")
        assert (reply.status, json.loads(reply.body)["kept"]) == (200, 2)
        reply = await one.post(given, "/v1/feedback", authorization=f"Bearer {BOB}")
        assert reply.status == 404, "nobody judges what another asked"
        url = f"http://127.0.0.1:{one.port}/v1/llmgate/requests/{record_id}/feedback"
        headers = {"authorization": f"Bearer {ANN}", "content-type": "application/json"}
        async with one.client.put(url, data=b'{"rating": false}', headers=headers) as put:
            assert put.status == 200
        whole = await get(one, f"/v1/llmgate/requests/{record_id}")
        assert {said["name"]: said["value"] for said in whole["feedback"]} == {"rating": False, "helpful": 0.9}
        for _ in range(100):
            usage = await get(one, "/v1/llmgate/usage?by=user&since=1h")
            if usage["total"]["requests"]:
                break
            await asyncio.sleep(0.05)
        assert [(row["user"], row["requests"]) for row in usage["data"]] == [("u1", 1)]
        assert [one["id"] for one in (await get(one, "/v1/llmgate/requests?user=u1"))["data"]] == [record_id]
    monkeypatch.chdir(tmp_path)
    Path("llmgate.yaml").write_text(json.dumps(settings))
    assert await asyncio.to_thread(main, ["usage", "--by", "principal", "--csv"]) == 0
    assert {line.split(",")[0] for line in capsys.readouterr().out.splitlines()[1:]} == {"ann", "bob"}
    assert await asyncio.to_thread(main, ["show", record_id[:-2]]) == 0
    assert "helpful: 0.9 by ann: fine" in capsys.readouterr().out
    assert await asyncio.to_thread(main, ["logs", "--user", "u1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == record_id
