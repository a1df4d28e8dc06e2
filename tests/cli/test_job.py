"""What the command line asks for reaches a worker as it was given."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import attrs
import pytest

from llmgate.cli import serve
from llmgate.cli.job import Job, pack, unpack
from llmgate.config import ConfigText
from llmgate.config.model import ServerConfig
from llmgate.spec import ConfigError


def job(*arguments: str) -> Job:
    parser = argparse.ArgumentParser()
    serve.add_parser(parser.add_subparsers())
    return Job.of(parser.parse_args(["serve", *arguments]))


def test_the_command_line_wins_over_the_configuration():
    configured = ServerConfig(address="::1", port=9000, hosts=["gw"], allow_open=True, workers=3, shutdown_grace=4)
    assert job().settings(configured) == configured
    changed = job("--host", "127.0.0.2", "--port", "0", "--workers", "1", "--shutdown-grace", "0").settings(configured)
    assert changed == attrs.evolve(configured, address="127.0.0.2", port=0, workers=1, shutdown_grace=0)
    faster = job("--server", "uvicorn", "--loop", "asyncio").settings(configured)
    assert faster == attrs.evolve(configured, use="uvicorn", loop="asyncio")
    assert job("--allow-open").settings(ServerConfig()).allow_open


def test_a_job_survives_the_way_to_a_worker():
    given = job("-c", "x.yaml", "--workers", "2")
    assert Job(**json.loads(json.dumps(attrs.asdict(given)))) == given
    text = ConfigText(Path("conf/x.yaml"), "providers: {écho: {}}\n")
    assert unpack(json.loads(json.dumps(pack(text)))) == text
    assert unpack(pack(None)) is None


def test_the_file_is_found_or_named_and_read_again_where_it_was(here):
    assert job().read() is None
    (here / "llmgate.yaml").write_text("one")
    found = job().read()
    assert found == ConfigText(Path("llmgate.yaml"), "one")
    (here / "llmgate.yaml").write_text("two")
    (here / "other.yaml").write_text("other")
    assert job().read(found) == ConfigText(Path("llmgate.yaml"), "two")
    assert job("-c", "other.yaml").read() == ConfigText(Path("other.yaml"), "other")


def test_a_file_that_is_gone_is_a_problem_and_no_other_one_is_taken(here):
    (here / "llmgate.yaml").write_text("one")
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read: no such file"):
        job().read(ConfigText(Path("gone.yaml"), ""))
