"""The security page says which test holds each promise: those tests are there, and so is the code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "security.md"
ROW = re.compile(r"^\| (?P<promise>[^|]+) \| (?P<kept>[^|]*) \| (?P<tests>[^|]+) \|$", re.MULTILINE)


def rows() -> list[tuple[str, str, str]]:
    found = [(row["promise"], row["kept"], row["tests"]) for row in ROW.finditer(PAGE.read_text(encoding="utf-8"))]
    return [row for row in found if row[0] != "promise" and not set(row[0]) <= {"-"}]


def test_every_promise_names_a_test_that_is_there() -> None:
    assert len(rows()) > 15
    for promise, kept, tests in rows():
        named = re.findall(r"`([a-z_/]+\.py)`", tests)
        assert named, promise
        for path in named:
            assert (ROOT / "tests" / path).is_file(), (promise, path)
        for path in re.findall(r"`([a-z_/]+(?:\.py)?)`", kept):
            assert (ROOT / "src" / "llmgate" / path).exists(), (promise, path)
