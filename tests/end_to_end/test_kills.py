"""kill -9 at any moment: what a client has seen complete is delivered, once, and nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

ROOT = Path(__file__).parents[2]
CYCLES = int(os.environ.get("LLMGATE_KILLS", "100"))
SECONDS = max(60, CYCLES)
CONFIG = """\
providers:
  echo: {}
interceptors:
  - use: cache
    directive: max-age=3600
records:
  journal: {path: journal, sync: SYNC, segment-size: 65536, max-size: 16777216}
loggers:
  - use: json-lines
    path: records.jsonl
    max-size: 100000
    keep: 10000
"""


class Servers:
    """Servers behind one port, as ``mortals`` keeps them."""

    def __init__(self, directory: Path, count: int) -> None:
        self._errors = (directory / "errors").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "end_to_end" / "mortals.py"), str(directory / "c.yaml"), str(count)],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}"},
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            bufsize=1,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().partition(" ")[2])
        self.alive: list[int] = []
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.wait_for(count)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._more:
                self.alive.append(int(line.partition(" ")[2]))
                self._more.notify_all()

    def wait_for(self, count: int) -> None:
        """Wait until so many serve."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.alive) >= count, 60)

    def kill(self, chance: random.Random) -> None:
        """Kill one of them; others go on."""
        self.wait_for(2)
        with self._more:
            os.kill(self.alive.pop(chance.randrange(len(self.alive))), signal.SIGKILL)

    def stop(self) -> None:
        """Let them end in order."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0

    def close(self) -> None:
        """Leave nothing behind, whatever has happened."""
        if self.process.poll() is None:
            for one in (*self.alive, self.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
            self.process.wait(10)
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._errors.close()


@contextlib.asynccontextmanager
async def load(port: int, complete: Counter[str], clients: int = 6) -> AsyncIterator[None]:
    """Clients that ask for whole and streamed answers without a pause and note each that they have seen to its end."""

    async def ask(number: int) -> None:
        async with aiohttp.ClientSession() as session:
            for turn in range(1_000_000):
                body = {
                    "model": "echo/echo",
                    "messages": [{"role": "user", "content": f"hello {number} {turn % 50}"}],
                    "stream": turn % 2 == 0,
                }
                try:
                    async with session.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body) as answer:
                        text = await answer.read()
                        whole = text.endswith(b"[DONE]\n\n") if body["stream"] else json.loads(text)["choices"]
                        if answer.status == 200 and whole:
                            complete[answer.headers["helicone-id"]] += 1
                except (aiohttp.ClientError, ConnectionError):
                    await asyncio.sleep(0.005)

    tasks = [asyncio.create_task(ask(number)) for number in range(clients)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in ended), ended


def delivered(directory: Path) -> Counter[str]:
    """How often each record is in the files of the logger, all of whose lines are whole."""
    found: Counter[str] = Counter()
    for path in sorted(directory.glob("records.jsonl*")):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert data.endswith(b"\n") or not data
        found.update(json.loads(line)["id"] for line in data.splitlines())
    return found


def left_in(directory: Path) -> list[str]:
    """The file sets of the journal."""
    return [one.name for one in (directory / "journal").iterdir() if not one.name.startswith(".")]


@pytest.mark.timeout(SECONDS * 3)
@pytest.mark.parametrize("sync", ["group", "os"])
async def test_what_clients_have_seen_complete_is_delivered_once_whoever_is_killed(tmp_path: Path, sync: str) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG.replace("SYNC", sync))
    chance = random.Random(sync)
    complete: Counter[str] = Counter()
    with contextlib.closing(Servers(tmp_path, 4)) as servers:
        async with load(servers.port, complete):
            for _ in range(CYCLES // 2):
                await asyncio.sleep(chance.uniform(0.02, 0.4))
                await asyncio.to_thread(servers.kill, chance)
        await asyncio.to_thread(servers.stop)
    with contextlib.closing(Servers(tmp_path, 1)) as last:  # it finds what the killed ones have left
        for _ in range(300):
            if all(f"-{last.alive[0]}-" in one for one in left_in(tmp_path)):
                break
            await asyncio.sleep(0.1)
        await asyncio.to_thread(last.stop)
    found = delivered(tmp_path)
    assert len(complete) > CYCLES, "there was hardly any load"
    lost = complete.keys() - found.keys()
    doubled = [one for one, count in found.items() if count > 1]
    assert (len(lost), len(doubled)) == (0, 0), (len(complete), sum(found.values()))
    assert "Traceback" not in (tmp_path / "errors").read_text()
    assert not left_in(tmp_path), ("everything has been delivered", last.alive)
