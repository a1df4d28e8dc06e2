"""What a command finds where it is started."""

from __future__ import annotations

import attrs
import pytest

from llmgate.cli.surroundings import expect_dotenv, find_dotenv, key_variable, read_environment
from llmgate.spec import ConfigError, ProviderRow

ROW = ProviderRow(name="x", title="X", base_url="https://x.example/v1", key_variables=("X_KEY", "Y_KEY"))


def test_there_may_be_no_dotenv(here, monkeypatch):
    monkeypatch.setenv("SOME", "thing")
    assert find_dotenv() is None
    assert read_environment()["SOME"] == "thing"


def test_a_dotenv_may_come_later_unless_something_else_is_called_so(here):
    assert expect_dotenv() is not None
    (here / ".env").write_text("A=b\n")
    assert expect_dotenv() == find_dotenv()
    (here / ".env").unlink()
    (here / ".env").mkdir()
    assert expect_dotenv() is None


def test_dotenv_fills_gaps_and_a_set_variable_wins(here, monkeypatch):
    (here / ".env").write_text("A=file\nB=file\n")
    monkeypatch.setenv("A", "process")
    environment = read_environment()
    assert (environment["A"], environment["B"]) == ("process", "file")


def test_a_dotenv_that_is_not_text_is_a_problem_with_its_name(here):
    (here / ".env").write_bytes(b"A=\xff\xfe\n")
    with pytest.raises(ConfigError, match=r"\.env"):
        read_environment()


@pytest.mark.parametrize(
    ("row", "environment", "expected"),
    [
        (ROW, {}, None),
        (ROW, {"X_KEY": ""}, None),
        (ROW, {"X_KEY": "1", "Y_KEY": "2"}, "X_KEY"),
        (ROW, {"Y_KEY": "2"}, "Y_KEY"),
        (attrs.evolve(ROW, base_url=None), {"X_KEY": "1"}, None),
        (attrs.evolve(ROW, relay_only=True), {"X_KEY": "1"}, None),
    ],
)
def test_the_variable_that_makes_a_provider_usable(row, environment, expected):
    assert key_variable(row, environment) == expected
