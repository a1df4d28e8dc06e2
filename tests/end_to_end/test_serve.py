"""``llmgate serve`` as its users meet it: a process, its lines, its exit status, its signals."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from end_to_end.gateways import START_SECONDS, Gateway, gateway

SERVERS = ("hypercorn", "uvicorn")

CHAT = {"model": "echo", "messages": [{"role": "user", "content": "Hello there"}]}


def ask(url: str, body=None, **headers: str):
    """Status, headers and JSON of one request."""
    data = None if body is None else json.dumps(body).encode()
    sent = {"Content-Type": "application/json"} if data else {}
    request = urllib.request.Request(url, data, {**sent, **{name.replace("_", "-"): v for name, v in headers.items()}})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, json.loads(answer.read())
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.headers, json.loads(answer.read())


def interpreters() -> list:
    """This interpreter, and the other one that ``make test`` has found, if there is one."""
    other = os.environ.get("LLMGATE_TEST_PYTHON")
    return [pytest.param(sys.executable, id="this"), *([pytest.param(other, id="other")] if other else [])]


@pytest.fixture(scope="module")
def open_gateway(tmp_path_factory):
    """One gateway without keys for all tests that only talk to it."""
    with gateway(tmp_path_factory.mktemp("gateway")) as one:
        yield one


def test_without_keys_it_serves_echo_and_prints_a_curl_line_that_works(open_gateway):
    assert "127.0.0.1" in open_gateway.lines[0]
    assert "echo" in open_gateway.line("providers: ")
    assert open_gateway.line("models: ")
    assert open_gateway.line("authentication: off")
    command = open_gateway.line("try: ").removeprefix("try: ")
    if shutil.which("curl") is None:
        stand_in = Path(__file__).parents[1] / "docs" / "curl.py"
        command = command.replace("curl", f"{shlex.quote(sys.executable)} {shlex.quote(str(stand_in))}", 1)
    done = subprocess.run(
        ["sh", "-c", f"{command} --silent --show-error"], capture_output=True, text=True, timeout=20, check=True
    )
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == "Hello!"


def test_it_answers_whole_and_names_who_served(open_gateway):
    status, headers, answer = ask(f"{open_gateway.url}/v1/chat/completions", CHAT)
    assert status == 200
    assert answer["choices"][0]["message"]["content"] == "Hello there"
    assert headers["helicone-provider"] == "echo"
    assert headers["x-request-id"] == headers["helicone-id"]


def test_it_streams_word_by_word(open_gateway):
    data = json.dumps(CHAT | {"stream": True}).encode()
    request = urllib.request.Request(
        f"{open_gateway.url}/ai/v1/chat/completions", data, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = answer.read().decode().strip().split("\n\n")
    assert events[-1] == "data: [DONE]"
    words = [json.loads(event.removeprefix("data: "))["choices"] for event in events[:-1]]
    assert "".join(choice[0]["delta"].get("content") or "" for choice in words if choice) == "Hello there"


def test_it_lists_models_and_says_that_it_is_well(open_gateway):
    _, _, listed = ask(f"{open_gateway.url}/v1/models")
    assert listed["object"] == "list"
    assert any("echo" in model["id"] for model in listed["data"])
    assert ask(f"{open_gateway.url}/health")[0] == 200
    assert ask(f"{open_gateway.url}/ready")[0] == 200


def test_errors_have_openais_shape(open_gateway):
    for path, body, status in [
        ("/v1/chat/completions", {"model": "anthropic/claude-x", "messages": []}, 404),
        ("/v1/chat/completions", {"messages": []}, 400),
        ("/router/none/chat/completions", CHAT, 404),
        ("/v1/nothing", None, 404),
        ("/v1/chat/completions", CHAT | {"model": "echo?fail=503"}, 503),
        ("/v1/chat/completions", CHAT | {"model": "echo?fail=400"}, 400),
    ]:
        found, headers, answer = ask(f"{open_gateway.url}{path}", body)
        assert found == status, (path, body, answer)
        assert set(answer["error"]) >= {"message", "type", "code"}
        assert headers["x-request-id"]


def test_a_stream_that_breaks_ends_with_an_error_event(open_gateway):
    data = json.dumps(CHAT | {"stream": True, "model": "echo?words=5&cut=2"}).encode()
    request = urllib.request.Request(
        f"{open_gateway.url}/v1/chat/completions", data, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read().decode()
    assert '"error"' in text.strip().split("\n\n")[-1]
    assert "[DONE]" not in text


def test_the_access_log_is_json_on_standard_output(open_gateway):
    ask(f"{open_gateway.url}/v1/models", x_request_id="find-me")
    line = json.loads(open_gateway.wait_line('"find-me"'))
    assert (line["path"], line["status"]) == ("/v1/models", 200)


def test_with_login_nothing_but_health_answers_without_a_key(tmp_path):
    key = "sk-llmgate-test-0123456789abcdef0123456789abcdef"
    digest = hashlib.sha256(key.encode()).hexdigest()
    (tmp_path / "llmgate.yaml").write_text(
        f"auth: [{{use: static-keys, keys: [{{name: one, hash: 'sha256:{digest}'}}]}}]\nproviders: {{echo: {{}}}}\n"
    )
    with gateway(tmp_path) as one:
        assert "static-keys" in one.line("authentication: ")
        assert "Authorization: Bearer" in one.line("try: ")
        assert ask(f"{one.url}/health")[0] == 200
        assert ask(f"{one.url}/ready")[0] == 200
        for path, body in [("/v1/models", None), ("/v1/chat/completions", CHAT), ("/validate-router-config", {})]:
            status, headers, answer = ask(f"{one.url}{path}", body)
            assert (status, headers["www-authenticate"]) == (401, "Bearer")
            assert answer["error"]["message"] == "Missing authorization header"
            status, _, answer = ask(f"{one.url}{path}", body, Authorization="Bearer wrong")
            assert (status, answer["error"]["message"]) == (401, "Invalid credentials")
        assert ask(f"{one.url}/v1/chat/completions", CHAT, Authorization=f"Bearer {key}")[0] == 200
        assert ask(f"{one.url}/v1/chat/completions", CHAT, x_api_key=key)[0] == 200


def refused(tmp_path: Path, *arguments: str, environment=None) -> Gateway:
    with gateway(tmp_path, *arguments, ready=False, environment=environment) as one:
        one.wait(START_SECONDS)
        return one


def test_an_open_address_without_login_is_refused_in_one_line(tmp_path):
    for address in ("0.0.0.0", "::", "192.0.2.1"):
        one = refused(tmp_path, "--host", address)
        assert one.process.returncode == 2
        assert len(one.errors) == 1
        assert "--allow-open" in one.stderr
        assert not one.lines


def test_an_open_address_is_served_when_the_operator_insists(tmp_path):
    with gateway(tmp_path, "--host", "0.0.0.0", "--allow-open") as one:
        assert "whoever reaches it" in one.line("authentication: ")
        assert ask(f"{one.url}/v1/chat/completions", CHAT)[0] == 200
        assert ask(f"{one.url}/v1/models", Host="evil.example")[0] == 403
    with gateway(
        tmp_path, environment={"LLMGATE__SERVER__ALLOW_OPEN": "true", "LLMGATE__SERVER__ADDRESS": "0.0.0.0"}
    ) as one:
        assert ask(f"{one.url}/health")[0] == 200


def test_a_port_in_use_is_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        one = refused(tmp_path, "--port", str(taken.getsockname()[1]))
    assert one.process.returncode == 1
    assert len(one.errors) == 1
    assert "in use" in one.stderr


@pytest.mark.parametrize(
    ("text", "named"),
    [("routers: [", "llmgate.yaml:"), ("servr: {}", "server"), ("server: {port: many}", "port")],
)
def test_a_wrong_configuration_is_named_by_its_place(tmp_path, text, named):
    (tmp_path / "llmgate.yaml").write_text(text + "\n")
    one = refused(tmp_path)
    assert one.process.returncode == 2
    assert named in one.stderr
    assert re.search(r"llmgate\.yaml:\d+:\d+: ", one.stderr)


def test_a_missing_file_is_refused(tmp_path):
    missing = refused(tmp_path, "--config", "nowhere.yaml")
    assert missing.process.returncode == 2
    assert "nowhere.yaml" in missing.stderr


def test_the_server_extra_missing_is_one_line_with_the_remedy(tmp_path):
    for package in ("starlette", "hypercorn"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(f"raise ModuleNotFoundError(name={package!r})\n")
        source = str(Path(__file__).parents[2] / "src")
        one = refused(tmp_path, environment={"PYTHONPATH": f"{tmp_path}{os.pathsep}{source}"})
        shutil.rmtree(tmp_path / package)
        assert one.process.returncode == 1
        assert len(one.errors) == 1
        assert "pip install 'llmgate[server]'" in one.stderr


@pytest.mark.parametrize("package", ["uvicorn", "httptools", "uvloop"])
def test_the_fast_extra_missing_is_one_line_with_the_remedy(tmp_path, package):
    """Before anything is bound, and before a worker is started that could not work."""
    blocked = (
        "import sys, importlib.util as u\nfind = u.find_spec\n"
        f"u.find_spec = lambda name, *rest: None if name == {package!r} else find(name, *rest)\n"
        "from llmgate.cli import main\n"
        "sys.exit(main(['serve', '--port', '0', '--server', 'uvicorn', '--loop', 'uvloop', '--workers', '2']))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", blocked], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=150
    )
    assert result.returncode == 1
    assert f"needs {package}, which is not installed: pip install 'llmgate[fast]'" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_gateway_at_once_and_in_order(tmp_path, number):
    with gateway(tmp_path) as one, socket.create_connection(("127.0.0.1", one.port)):
        started = time.monotonic()
        one.signal(number)
        assert one.wait() == 0
        assert time.monotonic() - started < 20, "at once, and not when the time to drain is over"
        assert not [line for line in one.errors if "stopping" not in line]


def stream(port: int, model: str) -> socket.socket:
    """An open stream, as a socket."""
    body = json.dumps({"model": model, "stream": True, "messages": []}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    one = socket.create_connection(("127.0.0.1", port), timeout=20)
    one.sendall(head.encode() + body)
    return one


def read_all(one: socket.socket) -> bytes:
    pieces = []
    while piece := one.recv(65536):
        pieces.append(piece)
    one.close()
    return b"".join(pieces)


LOGGED = """
server: {shutdown-timeout: 2s}
providers: {echo: {}}
loggers:
  - {use: json-lines, path: records.jsonl}
"""


@pytest.mark.slow
@pytest.mark.parametrize("python", interpreters())
def test_sigterm_with_fifty_streams(tmp_path, python):
    """Forty hang, ten end within the time: those end whole, the rest get an error event; fifty records, exit 0."""
    (tmp_path / "llmgate.yaml").write_text(LOGGED)
    with gateway(tmp_path, python=python) as one:
        ending = [stream(one.port, "echo?words=8&word-delay=0.2") for _ in range(10)]
        hanging = [stream(one.port, "echo?words=50&word-delay=5") for _ in range(40)]
        heads = [each.recv(10) for each in (*ending, *hanging)]
        assert set(heads) == {b"HTTP/1.1 2"}
        one.signal()
        started = time.monotonic()
        whole = [read_all(each) for each in ending]
        cut = [read_all(each) for each in hanging]
        assert one.wait() == 0
        assert time.monotonic() - started < 20, "two seconds, and what a busy machine adds"
    assert all(b"data: [DONE]" in text for text in whole)
    assert all(b"word7" in text for text in whole)
    assert all(b"[DONE]" not in text for text in cut)
    assert all(b"shutting down" in text and text.endswith(b"0\r\n\r\n") for text in cut)
    records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert len(records) == 50
    assert sorted({record["outcome"] for record in records}) == ["incomplete", "ok"]
    assert sum(record["outcome"] == "ok" for record in records) == 10
    assert not [line for line in one.errors if "ERROR" in line]


def test_a_second_signal_ends_it_without_waiting(tmp_path):
    with gateway(tmp_path) as one:
        open_stream = stream(one.port, "echo?words=50&word-delay=5")
        open_stream.recv(10)
        one.signal()
        time.sleep(0.3)
        assert one.process.poll() is None
        one.signal(signal.SIGINT)
        assert one.wait(3) == 128 + signal.SIGINT
        open_stream.close()


def test_readiness_ends_before_connections_are_refused(tmp_path):
    with gateway(tmp_path, "--shutdown-grace", "1.5") as one:
        assert ask(f"{one.url}/ready")[0] == 200
        one.signal()
        deadline = time.monotonic() + 1.2
        while ask(f"{one.url}/ready")[0] != 503:
            assert time.monotonic() < deadline
        assert ask(f"{one.url}/v1/chat/completions", CHAT)[0] == 200
        assert one.wait() == 0


def test_clients_that_leave_are_recorded_once_each(tmp_path):
    (tmp_path / "llmgate.yaml").write_text(LOGGED.replace("2s", "60s"))
    with gateway(tmp_path) as one:
        for _ in range(20):
            leaving = stream(one.port, "echo?words=50&word-delay=5")
            leaving.recv(10)
            leaving.close()
        time.sleep(0.5)
        one.signal()
        started = time.monotonic()
        assert one.wait() == 0
        assert time.monotonic() - started < 20, "nobody is waited for"
    records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert [record["outcome"] for record in records] == ["cancelled"] * 20
    assert len({record["id"] for record in records}) == 20
