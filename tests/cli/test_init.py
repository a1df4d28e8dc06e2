"""``llmgate init``: a first configuration that works as it stands, and never replaces one."""

from __future__ import annotations

import re

import pytest

from llmgate import Pipeline
from llmgate.cli import main


def test_it_lists_the_providers_whose_keys_are_set_and_passes_check(here, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret-one")
    (here / ".env").write_text("GEMINI_API_KEY=secret-two\n")
    assert main(["init"]) == 0
    text = (here / "llmgate.yaml").read_text()
    assert "secret" not in text
    assert "# uses OPENAI_API_KEY" in text
    assert "# uses GEMINI_API_KEY" in text
    assert "anthropic" not in text
    capsys.readouterr()
    assert main(["check"]) == 0
    assert "1 router" in capsys.readouterr().out


async def test_without_a_key_the_echo_model_answers(here):
    assert main(["init", "first.yaml"]) == 0
    async with Pipeline.from_config("first.yaml") as pipeline:
        answer = await pipeline.complete(router="main", model="echo", messages=[{"role": "user", "content": "Hello!"}])
    assert "Hello!" in answer.text


def test_what_it_comments_out_is_right(here, capsys):
    """Taking the comment signs off, and a real hash in, gives a configuration that passes."""
    main(["init"])
    text = re.sub(r"(?m)^# (?=auth:|loggers:|  )", "", (here / "llmgate.yaml").read_text())
    (here / "llmgate.yaml").write_text(text.replace("sha256:...", "sha256:" + "0" * 64))
    capsys.readouterr()
    assert main(["check", "--explain"]) == 0
    out = capsys.readouterr().out
    assert "authentication by static-keys" in out
    assert "loggers: json-lines" in out


def test_a_file_is_never_overwritten(here, capsys):
    (here / "llmgate.yaml").write_text("mine")
    assert main(["init"]) == 1
    assert (here / "llmgate.yaml").read_text() == "mine"
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["no/such/directory/llmgate.yaml", "."])
def test_a_place_that_cannot_be_written_is_said(here, capsys, target):
    assert main(["init", target]) == 1
    err = capsys.readouterr().err
    assert target in err
    assert "Traceback" not in err
