"""``llmgate serve`` with several workers, and SIGHUP: processes that are killed, stopped, replaced and reloaded."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from end_to_end.gateways import START_SECONDS, Gateway, gateway
from llmgate.cli.control import ask as ask_for_reload, ask_health, find_gateways

CHAT = {"model": "echo", "messages": [{"role": "user", "content": "Hello there"}]}
BASE = "providers: {echo: {}}\n"
ROUTER = BASE + "routers: {mine: {load-balance: {chat: {strategy: priority, providers: [echo]}}}}\n"


def ask(url: str, body=None, timeout: float = 10) -> int:
    """The status of one request on a connection of its own."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} if data else {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code


def chat(one: Gateway, path: str = "/v1/chat/completions") -> int:
    return ask(f"{one.url}{path}", CHAT)


def workers(one: Gateway, count: int = 2) -> dict[int, int]:
    """The process of each worker, by number, as the log says last."""
    deadline = time.monotonic() + 10
    while True:
        found = [re.search(r"worker (\d+) is ready \(process (\d+)\)", line) for line in one.errors]
        processes = {int(match[1]): int(match[2]) for match in found if match}
        if len(processes) == count:
            return processes
        assert time.monotonic() < deadline, one.errors
        time.sleep(0.01)


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def gone(processes, seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(is_alive, processes))


@contextlib.contextmanager
def held(process: int):
    """A process that does nothing for the length of the block."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def stream(port: int, model: str) -> socket.socket:
    """An open stream whose head has come."""
    body = json.dumps({"model": model, "stream": True, "messages": []}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    one = socket.create_connection(("127.0.0.1", port), timeout=20)
    one.sendall(head.encode() + body)
    assert one.recv(10) == b"HTTP/1.1 2"
    return one


def read_all(one: socket.socket) -> bytes:
    pieces = []
    while piece := one.recv(65536):
        pieces.append(piece)
    one.close()
    return b"".join(pieces)


@pytest.mark.slow
def test_workers_answer_are_replaced_and_follow_the_configuration_together(tmp_path):
    path = tmp_path / "llmgate.yaml"
    path.write_text(BASE)
    with gateway(tmp_path, "--workers", "2") as one:
        assert sum(line.startswith("llmgate ") for line in one.lines) == 1, "the start is printed once"
        first, second = workers(one)[1], workers(one)[2]
        for idle in (first, second):
            with held(idle):
                for _ in range(3):
                    assert chat(one) == 200, "the other one answers alone"
        assert ask(f"{one.url}/ready") == 200

        os.kill(first, signal.SIGKILL)
        for _ in range(20):
            assert chat(one) == 200, "service goes on"
        one.wait_error("worker 1 (process", after=0)
        seen = len(one.errors)
        one.wait_error("worker 1 is ready", after=seen - 1)
        third = workers(one)[1]
        assert third != first

        assert chat(one, "/router/mine/chat/completions") == 404
        path.write_text(ROUTER)
        one.signal(signal.SIGHUP)
        one.wait_error("has been read again: 1 provider, 1 router")
        for idle in (second, third):
            with held(idle):
                assert chat(one, "/router/mine/chat/completions") == 200

        path.write_text("routers: [")
        seen = len(one.errors)
        one.signal(signal.SIGHUP)
        one.wait_error("the old one stays in force", after=seen)
        one.wait_error("llmgate.yaml:1:", after=seen)
        os.kill(second, signal.SIGKILL)
        one.wait_error("worker 2 is ready", after=seen)
        for idle in workers(one).values():
            with held(idle):
                assert chat(one, "/router/mine/chat/completions") == 200, "also one that was started meanwhile"

        processes = workers(one).values()
        one.signal()
        assert one.wait() == 0
        assert gone(processes, 0)


LOGGED = """
server: {workers: 2, shutdown-timeout: 2s, local-share: true}
interceptors: [{use: request-rules, max-concurrent-attempts: 1000}]
telemetry: {format: json}
providers: {echo: {}}
loggers:
  - {use: json-lines, path: records.jsonl}
"""


@pytest.mark.slow
def test_sigterm_drains_the_streams_of_all_workers(tmp_path):
    (tmp_path / "llmgate.yaml").write_text(LOGGED)
    with gateway(tmp_path, "--shutdown-grace", "0.3") as one:
        ending = [stream(one.port, "echo?words=8&word-delay=0.2") for _ in range(6)]
        hanging = [stream(one.port, "echo?words=50&word-delay=5") for _ in range(10)]
        one.signal()
        started = time.monotonic()
        whole = [read_all(each) for each in ending]
        cut = [read_all(each) for each in hanging]
        assert one.wait() == 0
        assert time.monotonic() - started < 20, "2.3 seconds, and what a busy machine adds"
    assert all(b"data: [DONE]" in text and b"word7" in text for text in whole)
    assert all(b"[DONE]" not in text and b"shutting down" in text for text in cut)
    records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert len({record["id"] for record in records}) == len(records) == 16
    entries = [json.loads(line) for line in one.errors]
    assert {entry["logger"] for entry in entries} >= {"llmgate.workers", "llmgate.host"}
    assert {entry.get("worker") for entry in entries} == {None, 1, 2}
    assert not [entry for entry in entries if entry["level"] == "error"]
    (share,) = [entry["message"] for entry in entries if "local-share" in entry["message"]]
    assert "each of 2 workers grants one part in 2 of the limits of interceptors[0] (request-rules)" in share


@pytest.mark.slow
def test_workers_whose_supervisor_was_killed_end_in_order(tmp_path):
    with gateway(tmp_path, "--workers", "2") as one:
        processes = list(workers(one).values())
        running = stream(one.port, "echo?words=6&word-delay=0.2")
        port = one.port
        one.process.kill()
        text = read_all(running)
        assert b"data: [DONE]" in text, "what runs may end"
        assert gone(processes)
        with pytest.raises(ConnectionError):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        assert "the supervisor is gone: worker 1 stops" in one.stderr


@pytest.mark.slow
def test_ctrl_c_twice_ends_everything_at_once(tmp_path):
    with gateway(tmp_path, "--workers", "2") as one:
        processes = list(workers(one).values())
        hanging = stream(one.port, "echo?words=50&word-delay=5")
        one.signal(signal.SIGINT)
        one.wait_error("stopping")
        time.sleep(0.2)
        assert one.process.poll() is None
        one.signal(signal.SIGINT)
        assert one.wait(3) == 128 + signal.SIGINT
        assert gone(processes, 3)
        hanging.close()


def test_a_limit_that_each_worker_would_count_alone_is_refused(tmp_path):
    strict = BASE + "interceptors: [{use: request-rules, max-concurrent-attempts: 4}]\n"
    (tmp_path / "llmgate.yaml").write_text(strict)
    with gateway(tmp_path, "--workers", "2", ready=False) as one:
        assert one.wait(START_SECONDS) == 2
        assert len(one.errors) == 1
        assert "interceptors[0] (request-rules)" in one.stderr
        assert "server.local-share" in one.stderr
    with gateway(tmp_path) as one:
        assert chat(one) == 200


def test_sighup_is_followed_by_a_single_process_too(tmp_path):
    path = tmp_path / "llmgate.yaml"
    path.write_text(BASE)
    with gateway(tmp_path) as one:
        running = stream(one.port, "echo?words=8&word-delay=0.2")
        path.write_text(ROUTER + "server: {port: 1, max-headers: 50}\ntelemetry: {format: compact}\n")
        (tmp_path / ".env").write_text("GROQ_API_KEY=k\n")
        one.signal(signal.SIGHUP)
        line = one.wait_error("has been read again: 2 providers, 1 router")
        assert re.match(r"\d\d:\d\d:\d\d I llmgate\.serve: ", line), "the new shape is used at once"
        one.wait_error("server.port, server.max-headers: changed in the configuration")
        assert chat(one, "/router/mine/chat/completions") == 200
        path.write_text("servr: {}\nprovders: {}\n")
        one.signal(signal.SIGHUP)
        one.wait_error("llmgate.yaml:1:1: ")
        one.wait_error("llmgate.yaml:2:1: ")
        assert chat(one, "/router/mine/chat/completions") == 200
        text = b""
        while b"data: [DONE]" not in text:
            text += running.recv(65536)
        running.close()
        one.signal()
        assert one.wait() == 0


def test_a_reload_cannot_open_a_door_that_the_start_would_not(tmp_path):
    path = tmp_path / "llmgate.yaml"
    keys = "auth: [{use: static-keys, keys: [{name: a, hash: 'sha256:" + "0" * 64 + "'}]}]\n"
    path.write_text(BASE + keys)
    with gateway(tmp_path, "--host", "0.0.0.0") as one:
        assert chat(one) == 401
        path.write_text(BASE)
        one.signal(signal.SIGHUP)
        one.wait_error("refusing to listen on 0.0.0.0 without client authentication")
        assert chat(one) == 401


def reload(one: Gateway, *arguments: str, command: str = "reload") -> subprocess.CompletedProcess[str]:
    """What ``llmgate reload``, or another command, says where the gateway was started."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    line = [sys.executable, "-m", "llmgate", command, *arguments]
    return subprocess.run(
        line, cwd=one.directory, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_command_reloads_and_says_what_is_wrong(tmp_path, workers):
    path = tmp_path / "llmgate.yaml"
    path.write_text(BASE)
    with gateway(tmp_path, "--workers", workers) as one:
        assert chat(one, "/router/mine/chat/completions") == 404
        path.write_text(ROUTER)
        done = reload(one)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"process {one.process.pid} serves by the new configuration" in done.stdout
        assert chat(one, "/router/mine/chat/completions") == 200
        path.write_text("routrs: {}\n")
        refused = reload(one)
        assert refused.returncode == 1
        assert "llmgate.yaml:1:1: unknown key 'routrs'" in refused.stderr
        assert chat(one, "/router/mine/chat/completions") == 200, "the old one stays in force"
    assert reload(one).returncode == 2, "it has gone, and so has its socket"


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_the_health_of_all_workers_is_asked_at_once(tmp_path, count):
    config = tmp_path / "llmgate.yaml"
    config.write_text(BASE)
    with gateway(tmp_path, "--workers", str(count)) as one:
        for _ in range(30):
            assert chat(one) == 200
        (path,) = find_gateways(config).values()
        said = asyncio.run(ask_health(path))
        assert [each["worker"] for each in said] == list(range(1, count + 1))
        assert sum(entry["requests"] for each in said for entry in each["data"]) == 30
        shown = reload(one, "--json", command="health")
        assert shown.returncode == 0, shown.stderr
        found = json.loads(shown.stdout)
        assert [(entry["id"], entry["requests"]) for entry in found["data"]] == [("echo/echo", 30)]
        table = reload(one, "--workers", command="health")
        assert "0/30" in table.stdout
        assert "worker 1: echo/echo" in table.stdout or "worker 2: echo/echo" in table.stdout


def test_workers_are_reloaded_under_load_and_fail_no_request(tmp_path):
    path = tmp_path / "llmgate.yaml"
    path.write_text(BASE)
    statuses, over = [], threading.Event()
    with gateway(tmp_path, "--workers", "2", "--watch", "0.2") as one:

        def keep_asking() -> None:
            while not over.is_set():
                statuses.append(chat(one))

        callers = [threading.Thread(target=keep_asking) for _ in range(4)]
        for caller in callers:
            caller.start()
        (socket_path,) = find_gateways(path).values()
        for number in range(20):
            path.write_text("routrs: {}\n" if number % 5 == 4 else f"{ROUTER}timeouts: {{total: {60 + number}s}}\n")
            problems = asyncio.run(ask_for_reload(socket_path))
            assert bool(problems) is (number % 5 == 4), problems
        over.set()
        for caller in callers:
            caller.join()
        assert chat(one, "/router/mine/chat/completions") == 200
    assert len(statuses) > 20
    assert set(statuses) == {200}


def test_a_changed_file_is_noticed(tmp_path):
    path = tmp_path / "llmgate.yaml"
    path.write_text(BASE)
    with gateway(tmp_path, "--watch", "0.1") as one:
        path.write_text("routrs: {}\n")
        one.wait_error("unknown key 'routrs'")
        assert chat(one) == 200
        path.write_text(ROUTER)
        one.wait_error("has been read again: ")
        assert chat(one, "/router/mine/chat/completions") == 200


def test_a_terminal_that_is_closed_takes_the_gateway_with_it(tmp_path):
    """The kernel's SIGHUP asks for no reload."""
    process, terminal = pty.fork()
    if process == 0:
        source = str(Path(__file__).parents[2] / "src")
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": source}
        os.chdir(tmp_path)
        python = sys.executable
        os.execve(python, [python, "-m", "llmgate", "serve", "--port", "0"], environment)
    text = b""
    while b"try: " not in text:
        text += os.read(terminal, 65536)
    os.kill(process, signal.SIGHUP)
    while b"has been read again" not in text:
        text += os.read(terminal, 65536)
    os.close(terminal)
    deadline = time.monotonic() + 10
    while (ended := os.waitpid(process, os.WNOHANG))[0] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert os.waitstatus_to_exitcode(ended[1]) == 0
