"""Twenty canaries in every place where secrets are kept; none of them sings anywhere, whatever providers answer."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from end_to_end.gateways import Gateway, gateway
from llmgate.stages.auth.keys import digest_of
from llmgate.testing.upstream import FakeUpstream

HELLO = [{"role": "user", "content": "Hello"}]
PROVIDERS = 16
"""Five keys in the environment, five in .env, six in files; callers have four more."""


def canary(number: int) -> str:
    return f"sk-canary{number:02d}-8Zq3vB7tXw1Lp9Rk5Md2Hs6Jc4Nf0Gy"


CALLERS = {"by-hash": canary(16), "by-secret": canary(17), "unknown": canary(18), "expired": canary(19)}
CANARIES = [canary(number) for number in range(20)]


def prepared(directory: Path, upstream: FakeUpstream, collector: str) -> dict[str, str]:
    """Plant everything; returns the environment."""
    (directory / "mounted").mkdir()
    environment, dotenv, providers = {}, [], {}
    for number in range(PROVIDERS):
        name = f"p{number}"
        if number < 5:
            environment[f"KEY_{number}"], secret = canary(number), f"env:KEY_{number}"
        elif number < 10:
            dotenv.append(f"KEY_{number}='{canary(number)}'")
            secret = f"env:KEY_{number}"
        else:
            (directory / "mounted" / name).write_text(canary(number) + "\n")
            secret = f"mounted:{name}"
        providers[name] = {"base-url": f"{upstream.url}/{name}/v1", "secret": secret}
    (directory / ".env").write_text("\n".join(dotenv))
    (directory / "mounted" / "caller").write_text(CALLERS["by-secret"])
    by_hash = f"sha256:{digest_of(CALLERS['by-hash']).hex()}"
    keys: list[dict[str, Any]] = [
        {"name": "by-hash", "hash": by_hash, "scopes": ["chat", "metrics"]},
        {"name": "by-secret", "secret": "mounted:caller"},
        {"name": "expired", "hash": f"sha256:{digest_of(CALLERS['expired']).hex()}", "expires": "2020-01-01T00:00:00Z"},
    ]
    config = {
        "secrets": {"mounted": {"use": "file", "directory": "mounted"}},
        "providers": providers,
        "auth": [{"use": "static-keys", "keys": keys}],
        "loggers": [{"use": "json-lines", "path": "records.jsonl"}, {"use": "python-logging"}],
        "telemetry": {"exporter": "otlp", "otlp-endpoint": collector, "prometheus": True},
    }
    (directory / "llmgate.yaml").write_text(json.dumps(config))
    return environment


def echoing(upstream: FakeUpstream, status: int) -> None:
    """Answer as careless vendors do: with the key, in the body and in headers."""

    async def behave(request: Any, connection: Any) -> None:
        key = request.headers["authorization"].removeprefix("Bearer ")
        error = {
            "message": f"Incorrect API key provided: {key}. Bearer {key}",
            "type": "invalid",
            "code": key,
            "param": key,
        }
        data = json.dumps({"error": error}).encode()
        head = {
            "content-type": "application/json",
            "content-length": str(len(data)),
            "x-api-key": key,
            "set-cookie": key,
        }
        await connection.write_head(status, {**head, "www-authenticate": f'Bearer error="{key}"', "x-request-id": "r"})
        await connection.write(data)

    upstream.script(behave)


@contextmanager
def collecting() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A collector of spans and metrics: its address, and what it was sent, by path."""
    came: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            packed = self.headers.get("content-encoding") == "gzip"
            came[self.path] = came.get(self.path, b"") + repr(self.headers.items()).encode()
            came[self.path] += gzip.decompress(body) if packed else body
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", came
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(port: int, key: str | None, path: str, body: Any) -> bytes:
    """Everything that a client gets to see, head and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
    connection.request(
        "POST" if body is not None else "GET", path, json.dumps(body) if body is not None else None, headers
    )
    try:
        response = connection.getresponse()
        seen = repr((response.status, response.reason, response.getheaders())).encode()
        try:
            seen += response.read()
        except http.client.IncompleteRead as cut:
            seen += cut.partial
    finally:
        connection.close()
    return seen


def sung(*sinks: str | bytes) -> list[str]:
    """The canaries that are heard in what somebody may see."""
    whole = b"\n".join(sink.encode() if isinstance(sink, str) else sink for sink in sinks)
    return [one for one in CANARIES if one.encode() in whole or one[:18].encode() in whole]


def command(directory: Path, environment: dict[str, str], *arguments: str) -> str:
    source = str(Path(__file__).parents[2] / "src")
    done = subprocess.run(
        [sys.executable, "-m", "llmgate", *arguments],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": source, **environment},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    return done.stdout + done.stderr


def trouble(upstream: FakeUpstream, number: int) -> None:
    """Queue something that goes wrong."""
    match number % 8:
        case 0 | 1 | 2 | 3:
            echoing(upstream, (401, 403, 500, 429)[number % 8])
        case 4:
            echoing(upstream, 400)
        case 5:
            upstream.reset()
        case 6:
            upstream.html()
        case 7:
            upstream.redirect(f"http://127.0.0.1:1/?key={canary(number)}")


def exercise(one: Gateway, upstream: FakeUpstream) -> list[bytes]:
    """Good and failing requests, whole and streamed, of every caller at every provider."""
    seen = []
    for number in range(PROVIDERS):
        key = CALLERS["by-hash" if number % 2 else "by-secret"]
        body = {"model": f"p{number}/gpt-4o", "messages": HELLO, "stream": number % 3 == 0}
        seen.append(ask(one.port, key, "/v1/chat/completions", body))
        trouble(upstream, number)
        seen.append(ask(one.port, key, "/v1/chat/completions", body))
        trouble(upstream, number)
        seen.append(ask(one.port, key, f"/p{number}/v1/chat/completions", {"model": "gpt-4o", "messages": HELLO}))
    for number, status in enumerate((400, 404, 429, 500, 503)):
        echoing(upstream, status)
        seen.append(ask(one.port, CALLERS["by-hash"], f"/p{number}/v1/files", None))
    body = {"model": "p0/gpt-4o", "messages": HELLO}
    seen += [ask(one.port, CALLERS[caller], "/v1/chat/completions", body) for caller in ("unknown", "expired")]
    seen += [ask(one.port, CALLERS["by-hash"], path, None) for path in ("/v1/models", "/v1/health/deployments")]
    return [*seen, ask(one.port, CALLERS["by-hash"], "/metrics", None)]


async def test_no_secret_is_heard_in_any_sink(tmp_path: Path) -> None:
    with collecting() as (collector, exported):
        await _exercised(tmp_path, collector)
    # Everything is exported by the time the gateway has ended.
    assert b"gpt-4o" in exported["/v1/traces"], "spans have come"
    assert b"gen_ai" in exported["/v1/metrics"], "metrics have come"
    for path, sink in exported.items():
        assert sung(sink) == [], path


async def _exercised(tmp_path: Path, collector: str) -> None:
    async with FakeUpstream() as upstream:
        environment = prepared(tmp_path, upstream, collector)

        def run() -> tuple[list[bytes], str, str, str]:
            with gateway(tmp_path, "--log-level", "debug", environment=environment) as one:
                seen = exercise(one, upstream)
                cmdline = Path(f"/proc/{one.process.pid}/cmdline")
                processes = cmdline.read_text() if cmdline.exists() else ""
                (tmp_path / "mounted" / "p10").write_text("")  # and a reload that finds one secret gone
                one.signal(1)
                one.wait_error("has been read again")
                one.signal()
                one.wait()
            return seen, "\n".join(one.lines), one.stderr, processes

        seen, printed, logged, processes = await asyncio.to_thread(run)
        said = [
            command(tmp_path, environment, *arguments)
            for arguments in (
                ["secrets", "check"],
                ["secrets", "check", "--json"],
                ["check", "--explain"],
            )
        ]
        sent = [request.headers.get("authorization", "") for request in upstream.requests]
    assert {f"Bearer {canary(number)}" for number in range(PROVIDERS)} <= set(sent), "the keys themselves were used"
    assert len(seen) == 3 * PROVIDERS + 10
    assert b"llmgate_exchanges_total" in seen[-1]
    assert sum(b"(200, " in one[:8] for one in seen) >= PROVIDERS
    records = (tmp_path / "records.jsonl").read_text()
    assert records.count("\n") >= 2 * PROVIDERS
    assert "DEBUG" in logged
    sinks = {"answers": b"\n".join(seen), "output": printed, "log": logged, "records": records}
    for name, sink in {**sinks, "processes": processes, "commands": "\n".join(said)}.items():
        assert sung(sink) == [], name
    written = [one for one in tmp_path.rglob("*") if one.is_file() and one.parent.name != "mounted"]
    assert [one.name for one in written if sung(one.read_bytes())] == [".env"]
