"""The program: its options, its exit statuses, and what a user is told of each failure."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

from llmgate.cli import main, program
from llmgate.spec import ConfigError, PluginError


def command_that(raises, monkeypatch):
    def run(args):
        raise raises

    monkeypatch.setattr(program.COMMANDS["schema"], "run", run)


def test_python_m_llmgate_is_the_same_program():
    result = subprocess.run(
        [sys.executable, "-m", "llmgate", "--version"], capture_output=True, text=True, check=True, timeout=150
    )
    assert result.stdout == f"llmgate {version('llmgate')}\n"


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--help"])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert [
        name for name in ("serve", "init", "check", "schema", "providers", "plugins", "keys") if name not in out
    ] == []


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["check", "--nonsense"], ["--log-level", "loud", "schema"]])
def test_a_wrong_command_line_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "level"),
    [
        (["schema"], None),
        (["--log-level", "debug", "schema"], "debug"),
        (["schema", "--log-level", "error"], "error"),
        (["--log-level", "debug", "schema", "--log-level", "error"], "error"),
    ],
)
def test_the_log_level_may_stand_before_or_after_the_command(arguments, level):
    assert program.build_parser().parse_args(arguments).log_level == level


def test_every_problem_of_a_configuration_is_shown(capsys, monkeypatch):
    command_that(ConfigError("two", problems=["a.yaml:1:2: first", "a.yaml:3:4: second"]), monkeypatch)
    assert main(["schema"]) == 2
    assert capsys.readouterr().err == "a.yaml:1:2: first\na.yaml:3:4: second\n"


def test_a_failure_is_one_line_and_status_1(capsys, monkeypatch):
    command_that(PluginError("plugin 'x' of y 1.0 cannot be imported"), monkeypatch)
    assert main(["schema"]) == 1
    assert capsys.readouterr().err == "llmgate: plugin 'x' of y 1.0 cannot be imported\n"


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("starlette", "server"),
        ("hypercorn.asyncio", "server"),
        ("uvicorn", "fast"),
        ("httptools", "fast"),
        ("uvloop", "fast"),
    ],
)
def test_a_missing_server_extra_says_what_to_install(module, extra, capsys, monkeypatch):
    command_that(ModuleNotFoundError(f"No module named {module!r}", name=module), monkeypatch)
    assert main(["schema"]) == 1
    assert f"pip install 'llmgate[{extra}]'" in capsys.readouterr().err


def test_another_missing_module_is_not_hidden(monkeypatch):
    command_that(ModuleNotFoundError("No module named 'numpy'", name="numpy"), monkeypatch)
    with pytest.raises(ModuleNotFoundError):
        main(["schema"])


def test_serving_without_the_server_extra_says_what_to_install(here):
    """As a user of the bare library meets it: the packages cannot be imported."""
    blocked = (
        "import sys\n"
        "for name in ('starlette', 'hypercorn'):\n    sys.modules[name] = None\n"
        "from llmgate.cli import main\nsys.exit(main(['serve', '--port', '0']))\n"
    )
    result = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, check=False, timeout=150)
    assert result.returncode == 1, result.stderr
    assert "pip install 'llmgate[server]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_interrupt_is_quiet(capsys, monkeypatch):
    command_that(KeyboardInterrupt(), monkeypatch)
    assert main(["schema"]) == 130
    assert capsys.readouterr().err == ""


def test_a_reader_that_leaves_a_pipe_is_no_traceback():
    pipeline = f"{sys.executable} -m llmgate providers --json | head -c 1"
    result = subprocess.run(["/bin/sh", "-c", pipeline], capture_output=True, text=True, check=True, timeout=150)
    assert result.stdout == "["
    assert result.stderr == ""
