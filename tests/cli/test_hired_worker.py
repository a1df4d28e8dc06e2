"""The command that starts a worker, and what its supervisor keeps of what it says."""

from __future__ import annotations

import asyncio
import json
import sys

from llmgate.cli.hired_worker import STABLE_SECONDS, HiredWorker, StartFailedError, worker_command


def test_a_worker_is_started_with_this_interpreter_and_its_module_path(monkeypatch):
    monkeypatch.setattr(sys, "warnoptions", ["error::ResourceWarning"])
    command = worker_command(7, [8, 9])
    assert command[0] == sys.executable
    assert "-P" in command
    assert "-Werror::ResourceWarning" in command
    assert json.loads(command[-1]) == {"path": sys.path, "control": 7, "listening": [8, 9], "loop": "asyncio"}
    assert json.loads(worker_command(7, [8, 9], "uvloop")[-1])["loop"] == "uvloop"


async def test_it_has_lasted_once_it_has_served_for_a_while():
    worker = HiredWorker(1, None, None, 0)  # type: ignore[arg-type]
    assert not worker.lasted(100.0)
    worker.ready_at = 100.0
    assert not worker.lasted(100.0)
    assert worker.lasted(100.0 + STABLE_SECONDS)


async def test_an_answer_is_taken_once_and_only_where_it_was_asked_for():
    worker = HiredWorker(1, None, None, 0)  # type: ignore[arg-type]
    worker.answer(7, ["nobody has asked"])
    worker.answers[7] = asyncio.get_running_loop().create_future()
    worker.answer(7, ["first"])
    worker.answer(7, ["second"])
    assert worker.answers[7].result() == ["first"]


def test_why_a_start_has_failed_is_one_text_of_all_lines():
    failure = StartFailedError(["one", "two"], 2)
    assert (str(failure), failure.status) == ("one\ntwo", 2)
