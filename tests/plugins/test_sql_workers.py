"""Several workers over one SQL store: a call that is told to many of them is one record, on every page."""

from __future__ import annotations

import http.client
import json
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from end_to_end.gateways import Gateway, gateway
from host.surfaces.test_intake import told
from host.surfaces.test_traces import span
from host.test_trace_bodies import export

sys.path.insert(0, str(Path(__file__).parents[2] / "plugins" / "llmgate-store" / "tests"))

from store_bench import making_database

ANN, BOSS = "key-of-ann-0123456789012345678901234567890", "key-of-boss-012345678901234567890123456789"
ENVIRONMENT = {"ANN": ANN, "BOSS": BOSS, "DASHBOARD": "0123456789abcdef0123456789abcdef"}
WORKERS, CALLS, TIMES = 2, 12, 4
COST = 1000 * 150 + 500 * 600
pytestmark = pytest.mark.timeout(400)


@contextmanager
def serving(directory: Path, url: str) -> Iterator[Gateway]:
    settings = {
        "providers": {"echo": {}},
        "auth": [
            {
                "use": "static-keys",
                "keys": [
                    {"name": "ann", "secret": "env:ANN"},
                    {"name": "boss", "secret": "env:BOSS", "scopes": ["usage"]},
                ],
            }
        ],
        "records": {"journal": {"path": "journal"}},
        "loggers": [{"use": "sql", "database": {"url": url}}],
        "pages": [{"use": "dashboard", "session-secret": "env:DASHBOARD"}],
    }
    (directory / "llmgate.yaml").write_text(json.dumps(settings))
    words = ("--config", "llmgate.yaml", "--workers", str(WORKERS))
    with gateway(directory, *words, environment=ENVIRONMENT, ready=False) as one:
        yield one.wait_ready(120)


def ask(one: Gateway, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, bytes]:
    """A request on a connection of its own, which any worker may accept."""
    connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=60)
    try:
        sent = {name.replace("_", "-"): text for name, text in headers.items()}
        connection.request(method, path, body, {"connection": "close", **sent})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def tell(one: Gateway, body: bytes, path: str, kind: str) -> int:
    status, _, said = ask(one, "POST", path, body, authorization=f"Bearer {ANN}", content_type=kind)
    assert status == 200, said
    return status


def usage(one: Gateway, by: str) -> dict[str, Any]:
    path = f"/v1/llmgate/usage?{urlencode({'by': by, 'since': '1h'})}"
    status, _, body = ask(one, "GET", path, authorization=f"Bearer {BOSS}")
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)
    return found


def wait_for(one: Gateway, requests: int) -> dict[str, Any]:
    """What has been added up, once so much has come."""
    for _ in range(600):
        found = usage(one, "user")
        if found["total"]["requests"] >= requests:
            return found
        time.sleep(0.1)
    raise AssertionError(found)


@pytest.mark.parametrize("server", ["sqlite", "postgresql"])
def test_what_is_told_to_several_workers_is_one_record_on_every_page(tmp_path: Path, server: str):
    start = int(time.time()) - 60
    logged = [
        json.dumps(told(start, meta={"Helicone-Request-Id": f"call-{number}", "Helicone-User-Id": "eve"})).encode()
        for number in range(CALLS)
    ]
    traced = [export(span(number)).SerializeToString() for number in range(1, CALLS + 1)]
    tellings = [(body, "/v1/log/request", "application/json") for body in logged]
    tellings += [(body, "/v1/traces", "application/x-protobuf") for body in traced]
    tellings *= TIMES
    random.Random(7).shuffle(tellings)
    with making_database(server, tmp_path) as url:
        with serving(tmp_path, url) as one:
            with ThreadPoolExecutor(8) as threads:
                assert set(threads.map(lambda telling: tell(one, *telling), tellings)) == {200}
            wait_for(one, 2 * CALLS)
            form = urlencode({"key": BOSS, "next": ""}).encode()
            kind = "application/x-www-form-urlencoded"
            status, headers, _ = ask(
                one, "POST", "/dashboard/sign-in", form, content_type=kind, sec_fetch_site="same-origin"
            )
            assert status == 303
            cookie = headers["set-cookie"].partition(";")[0]
            for _ in range(2 * WORKERS):
                status, _, page = ask(one, "GET", "/dashboard/requests?user=eve&limit=100", cookie=cookie)
                assert status == 200
                assert page.count(b"gpt-4o-mini") >= 2 * CALLS
                assert ask(one, "GET", "/dashboard", cookie=cookie)[0] == 200
        with serving(tmp_path, url) as one:  # what workers had still to deliver is delivered, and counted once
            (row,) = wait_for(one, 2 * CALLS)["data"]
            assert (row["user"], row["requests"], row["cost_nano"]) == ("eve", 2 * CALLS, 2 * CALLS * COST)
