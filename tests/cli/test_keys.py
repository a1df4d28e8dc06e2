"""``llmgate keys new``: a key that is shown once, and lines that make it work."""

from __future__ import annotations

import re

import pytest

from llmgate import AuthenticationError, Pipeline
from llmgate.cli import main


def make_key(capsys, *arguments: str) -> tuple[str, str]:
    assert main(["keys", "new", *arguments]) == 0
    out = capsys.readouterr().out
    (key,) = re.findall(r"(?m)^  (\S+)$", out)
    return key, out[out.index("auth:") :]


async def test_the_printed_lines_let_the_printed_key_in(capsys, tmp_path):
    key, lines = make_key(capsys, "--name", "build.server-1@example")
    assert key not in lines
    file = tmp_path / "llmgate.yaml"
    file.write_text(f"providers:\n  echo: {{}}\n{lines}")
    question = {"model": "echo", "messages": [{"role": "user", "content": "Hello!"}]}
    async with Pipeline.from_config(file, environment={}) as pipeline:
        answer = await pipeline.complete(api_key=key, **question)
        assert answer.exchange.principal == "build.server-1@example"
        with pytest.raises(AuthenticationError):
            await pipeline.complete(api_key=f"{key}x", **question)


def test_no_two_keys_are_alike(capsys):
    assert make_key(capsys)[0] != make_key(capsys)[0]


@pytest.mark.parametrize("name", ["", "a b", "x: y", "it's", '"', "a\nb", "é"])
def test_a_name_that_yaml_could_misread_is_refused(capsys, name):
    with pytest.raises(SystemExit) as exit_:
        main(["keys", "new", "--name", name])
    assert exit_.value.code == 2
    assert "is not a name" in capsys.readouterr().err
