"""The one pipeline of a process: opened once, closed at exit with every record, and made anew after a fork."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import pytest

from llmgate import sdk


@pytest.fixture(autouse=True)
def closed():
    yield
    sdk.close()
    sdk.configure()


def test_it_is_the_same_one_for_every_thread():
    sdk.configure({"providers": {"echo": {}}}, environment={})
    found = []
    threads = [threading.Thread(target=lambda: found.append(sdk.default_pipeline())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1
    assert found[0].pipeline.ready


def test_closing_it_makes_room_for_another():
    sdk.configure({"providers": {"echo": {}}}, environment={})
    first = sdk.default_pipeline()
    with pytest.raises(RuntimeError, match="open already"):
        sdk.configure()
    sdk.close()
    sdk.close()
    assert not first.pipeline.ready
    assert sdk.default_pipeline() is not first


def run(program: str, tmp_path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    result = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


ASK = """
from llmgate.sdk import configure, openai
configure({"providers": {"echo": {}}, "loggers": [{"use": "json-lines", "path": "records.jsonl"}]})
client = openai.OpenAI()
def ask():
    messages = [{"role": "user", "content": "Hello"}]
    return client.chat.completions.create(model="echo", messages=messages).choices[0].message.content
"""


def test_a_program_that_just_ends_has_written_its_records(tmp_path):
    assert run(ASK + "print(ask())", tmp_path) == "Hello\n"
    (record,) = (tmp_path / "records.jsonl").read_text().splitlines()
    assert json.loads(record)["outcome"] == "ok"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is nothing to fork")
def test_a_child_begins_anew_after_a_fork(tmp_path):
    program = (
        ASK
        + """
import os, warnings
ask()
child = os.fork()
if child == 0:
    client = openai.OpenAI()
    print("child", ask(), flush=True)
    os._exit(0)
print("parent", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), ask())
"""
    )
    assert run(program, tmp_path).splitlines() == ["child Hello", "parent 0 Hello"]
