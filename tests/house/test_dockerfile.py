"""The image is small, without rights and without secrets, and it does not start as an open door.

No engine builds it here: the file is read, its health check is run, and what it starts is started with its variables.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import attrs
import pytest

from end_to_end.gateways import gateway

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how_to" / "docker.md").read_text(encoding="utf-8")
KNOWN = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}


@attrs.frozen
class Instruction:
    """One instruction: its word, what follows it, and which stage it belongs to."""

    word: str
    rest: str
    stage: int


def read(text: str) -> list[Instruction]:
    """The instructions of a Dockerfile, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found: list[Instruction] = []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        word, _, rest = line.partition(" ")
        stage = sum(one.word == "FROM" for one in found) + (word.upper() == "FROM")
        found.append(Instruction(word.upper(), rest.strip(), stage))
    return found


FILE = read((ROOT / "Dockerfile").read_text(encoding="utf-8"))
LAST = max(one.stage for one in FILE)


def final(word: str) -> list[str]:
    """What follows a word in the stage that becomes the image."""
    return [one.rest for one in FILE if one.stage == LAST and one.word == word]


def variables() -> dict[str, str]:
    return dict(pair.split("=", 1) for one in final("ENV") for pair in shlex.split(one))


def command() -> list[str]:
    (entry,), (arguments,) = final("ENTRYPOINT"), final("CMD")
    return [*json.loads(entry), *json.loads(arguments)]


def ours() -> dict[str, str]:
    """The variables of the image that are llmgate's own."""
    return {name: value for name, value in variables().items() if name.startswith("LLMGATE__")}


def test_the_file_is_read_as_docker_reads_it():
    text = "FROM a AS b\n# no\nRUN one \\\n    && two\n\nfrom c\nCOPY x y\n"
    assert [attrs.astuple(one) for one in read(text)] == [
        ("FROM", "a AS b", 1),
        ("RUN", "one && two", 1),
        ("FROM", "c", 2),
        ("COPY", "x y", 2),
    ]
    assert {one.word for one in FILE} == KNOWN


def test_every_stage_is_made_of_the_same_slim_python_that_we_support():
    assert [one.rest.split()[0] for one in FILE if one.word == "FROM"] == ["python:3.13-slim"] * 2


def test_it_runs_without_rights():
    (user,) = final("USER")
    uid, gid = (int(part) for part in user.split(":"))
    assert uid >= 1000
    assert gid >= 1000
    words = [one.word for one in FILE if one.stage == LAST]
    assert "RUN" not in words[words.index("USER") :], "nothing is changed after the rights are gone"


def test_nothing_comes_from_an_address_and_nothing_is_a_secret():
    text = "\n".join(f"{one.word} {one.rest}" for one in FILE)
    assert "ADD" not in {one.word for one in FILE}
    assert not re.search(r"https?://(?!127\.0\.0\.1)|git@|curl |wget |apt-get", text)
    assert not re.search(r"(?i)(key|token|secret|password)\w*=", text)
    assert "ARG" not in {one.word for one in FILE}


def test_what_it_copies_is_there_and_let_through():
    allowed = [
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    ]
    copied = [name for one in FILE if one.word == "COPY" and "--from" not in one.rest for name in one.rest.split()[:-1]]
    assert sorted(copied) == sorted(allowed)
    assert [name for name in copied if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", [".env", ".git", "llmgate.yaml", "records.jsonl", "tests", "config-examples", ".venv"])
def test_nothing_else_gets_into_the_build(name):
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert next(line for line in lines if line and not line.startswith("#")) == "*"
    assert not any(fnmatchcase(name, line[1:]) for line in lines if line.startswith("!"))


def test_every_package_is_checked_against_the_lock_and_none_is_fetched_later():
    runs = [one.rest for one in FILE if one.word == "RUN" and "pip" in one.rest]
    download, install, clean = runs
    assert "--require-hashes" in download
    assert "-r requirements.lock" in download
    assert "--no-index" in install
    assert install.endswith("'.[server]'")
    assert "uninstall" in clean, "the image has nothing to install with"


def test_the_image_has_no_build_tools():
    assert final("COPY") == ["--from=build /opt/llmgate /opt/llmgate"]
    assert not any("install " in one.replace("uninstall", "") for one in final("RUN"))


def test_its_variables_are_settings_and_its_port_is_the_default():
    assert ours() == {"LLMGATE__SERVER__ADDRESS": "0.0.0.0"}
    assert final("EXPOSE") == ["8080"]
    assert command() == ["llmgate", "serve"]


def test_it_refuses_to_start_open(tmp_path):
    with gateway(tmp_path, ready=False, environment=ours()) as one:
        assert one.wait(30) == 2
    assert "refusing to listen on 0.0.0.0 without client authentication" in one.stderr
    assert "ends with status 2" in " ".join(PAGE.split())


CALLERS = """
auth:
  - use: static-keys
    keys:
      - {name: alice, hash: "sha256:2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90"}
providers: {echo: {}}
"""


@pytest.mark.parametrize("how", ["the variable", "authentication"])
def test_it_starts_when_it_is_told_who_may_come_in_and_its_health_check_passes(tmp_path, how):
    environment = ours()
    if how == "the variable":
        environment |= {"LLMGATE__SERVER__ALLOW_OPEN": "true"}
    else:
        (tmp_path / "llmgate.yaml").write_text(CALLERS, encoding="utf-8")
    with gateway(tmp_path, environment=environment) as one:
        assert healthy(one.port) == 0
        one.signal()
        assert one.wait() == 0
        assert healthy(one.port) != 0


def healthy(port: int) -> int:
    """The status of the image's health check."""
    (check,) = final("HEALTHCHECK")
    python, *arguments = json.loads(check.partition("CMD ")[2])
    assert python == "python"
    done = subprocess.run(
        [sys.executable, *arguments],
        env={"PATH": os.environ["PATH"], "LLMGATE__SERVER__PORT": str(port)},
        capture_output=True,
        timeout=20,
        check=False,
    )
    return done.returncode


def test_the_health_check_is_asked_often_enough_and_not_too_early():
    (check,) = final("HEALTHCHECK")
    options = dict(re.findall(r"--([a-z-]+)=(\d+)s?", check))
    assert set(options) == {"interval", "timeout", "start-period", "retries"}
    assert int(options["timeout"]) < int(options["interval"])
    assert "/health'" in check


def test_the_page_runs_it_as_it_wants_to_be_run():
    lines = re.findall(r"(?m)^\$ (docker run [^$]*?)(?=^\$|^```)", PAGE)
    assert len(lines) >= 3
    for line in lines:
        said = "LLMGATE__SERVER__ALLOW_OPEN=true" in line or "llmgate.yaml" in line
        assert said, f"this would not start: {line}"
