"""Problems come all at once, files from top to bottom, then variables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from llmgate.config.problems import Problems, Where
from llmgate.spec import ConfigError


def test_problems_are_sorted_and_not_repeated() -> None:
    problems = Problems()
    problems.add(Where("environment variable A"), "wrong")
    problems.add(Where("f.yaml", 10, 1), "late")
    problems.add(Where("f.yaml", 2, 5), "early", word="prt", known=["port"])
    problems.add(Where("f.yaml", 10, 1), "late")
    with pytest.raises(ConfigError) as caught:
        problems.raise_if_any()
    assert caught.value.problems == (
        "f.yaml:2:5: early (did you mean 'port'?)",
        "f.yaml:10:1: late",
        "environment variable A: wrong",
    )
    assert str(caught.value).splitlines() == list(caught.value.problems)


def test_no_problem_no_error() -> None:
    Problems().raise_if_any()


def test_more_problems_than_anybody_reads_are_counted() -> None:
    problems = Problems()
    for line in range(1, 151):
        problems.add(Where("f", line, 1), "wrong")
    assert len(problems.lines()) == 101
    assert problems.lines()[-1] == "and 50 more problems"


def test_what_was_meant_is_guessed_a_hundred_times_and_no_more() -> None:
    """Guessing takes a millisecond, and a file of a megabyte can hold a hundred thousand problems."""
    problems = Problems()
    for line in range(1, 103):
        problems.add(Where("f", line, 1), "wrong", word="prt", known=_counted)
    assert len(_asked) == 100
    assert sum("did you mean 'port'" in line for line in problems.lines()) == 100


_asked: list[None] = []


class _Counted:
    def __iter__(self) -> Iterator[str]:
        _asked.append(None)
        return iter(["port"])


_counted = _Counted()
