"""What callers ask about their requests, over HTTP, from a file of JSON lines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from end_to_end.loopback import Loopback, Reply, loopback
from llmgate.testing.upstream import FakeUpstream

ANN, BOB = "key-of-ann-0123456789012345678901234567890", "key-of-bob-0123456789012345678901234567890"
KEYS = [{"name": "ann", "secret": "env:ANN"}, {"name": "bob", "secret": "env:BOB"}]


@asynccontextmanager
async def served(tmp_path: Path, **sections: Any) -> AsyncIterator[Loopback]:
    """A gateway that has answered three requests of Ann's and one of Bob's."""
    settings = {
        "providers": {"echo": {}},
        "auth": [{"use": "static-keys", "keys": KEYS}],
        "loggers": [{"use": "json-lines", "path": str(tmp_path / "records.jsonl")}],
        **sections,
    }
    async with FakeUpstream(), loopback(settings, environment={"ANN": ANN, "BOB": BOB}) as one:
        for key in (ANN, ANN, ANN, BOB):
            body = {"model": "echo/echo", "messages": [{"role": "user", "content": "hi"}]}
            reply = await one.post(
                body, "/v1/chat/completions", authorization=f"Bearer {key}", helicone_property_env="x"
            )
            assert reply.status == 200
        yield one


async def get(one: Loopback, path: str, key: str = ANN, method: str = "GET") -> Reply:
    headers = {"authorization": f"Bearer {key}"}
    async with one.client.request(method, f"http://127.0.0.1:{one.port}{path}", headers=headers) as response:
        return Reply(response.status, dict(response.headers), await response.read())


async def page(one: Loopback, query: str = "", count: int = 3) -> dict[str, Any]:
    """A page, once so many records are in the file."""
    for _ in range(200):
        answer: dict[str, Any] = json.loads((await get(one, f"/v1/llmgate/requests{query}")).body)
        if len(answer["data"]) >= count:
            break
        await asyncio.sleep(0.02)
    return answer


async def test_everybody_sees_his_own_page_by_page(tmp_path: Path):
    async with served(tmp_path) as one:
        await page(one)
        seen, cursor = [], ""
        while True:
            answer = await page(one, f"?limit=2{cursor}", 1)
            seen += answer["data"]
            if not answer["has_more"]:
                break
            cursor = f"&cursor={answer['next_cursor']}"
        assert [value["principal"] for value in seen] == ["ann"] * 3
        assert answer["next_cursor"] is None
        assert len((await page(one, "?property=env%3Dx&status=2xx"))["data"]) == 3
        assert (await page(one, "?property=env%3Dy", 0))["data"] == []
        whole = json.loads((await get(one, f"/v1/llmgate/requests/{seen[0]['id']}")).body)
        assert (whole["id"], whole["feedback"]) == (seen[0]["id"], [])
        assert (await get(one, f"/v1/llmgate/requests/{seen[0]['id']}", BOB)).status == 404
        assert (await get(one, "/v1/llmgate/requests/none")).error["code"] == "record_not_found"
        head = await get(one, "/v1/llmgate/requests", method="HEAD")
        assert (head.status, head.body) == (200, b"")


async def test_usage_is_added_up(tmp_path: Path):
    async with served(tmp_path) as one:
        await page(one)
        answer = json.loads((await get(one, "/v1/llmgate/usage?by=model,day&since=1h")).body)
        (row,) = answer["data"]
        assert (row["model"], row["requests"], row["errors"]) == ("echo", 3, 0)
        assert answer["total"]["requests"] == 3
        assert row["duration_seconds"]["p50"] > 0
        assert json.loads((await get(one, "/v1/llmgate/usage", BOB)).body)["data"][0]["requests"] == 1


async def test_what_cannot_be_asked_is_refused_by_name(tmp_path: Path):
    async with served(tmp_path) as one:
        for path, param in (
            ("/v1/llmgate/requests?colour=red", "colour"),
            ("/v1/llmgate/requests?limit=0", "limit"),
            ("/v1/llmgate/usage?by=colour", "by"),
            ("/v1/llmgate/usage?since=soon", "since"),
        ):
            reply = await get(one, path)
            assert (reply.status, reply.error["param"]) == (400, param)
        assert (await get(one, "/v1/llmgate/usage?x=%ff")).status == 400
        assert (await get(one, "/v1/llmgate/usage", "wrong")).status == 401
        assert (await get(one, "/v1/llmgate/usage", method="DELETE")).status == 405


async def test_a_logger_without_feedback_says_so(tmp_path: Path):
    async with served(tmp_path) as one:
        record_id = (await page(one))["data"][0]["id"]
        headers = {"authorization": f"Bearer {ANN}"}
        reply = await one.post({"request_id": record_id, "rating": True}, "/v1/feedback", **headers)
        assert (reply.status, reply.error["code"]) == (400, "no_feedback")
        for body in (b"[]", b"{", b'{"rating":true}', b'{"request_id":5,"rating":1}'):
            assert (await one.post(body, "/v1/feedback", **headers)).status == 400
        reply = await one.post(b"{}", "/v1/feedback", content_type="text/plain", **headers)
        assert reply.status == 415


async def test_without_a_logger_that_can_be_asked_it_says_which(tmp_path: Path):
    async with served(tmp_path, loggers=[{"use": "json-lines"}]) as one:
        reply = await get(one, "/v1/llmgate/requests")
        assert (reply.status, reply.error["code"]) == (404, "records_not_kept")
