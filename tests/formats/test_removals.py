"""What a format has once declared to carry does not go without a word: the changelog names it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DECLARED = "tests/formats/carried_fields.json"

Declared = Mapping[str, Sequence[str]]


def versions() -> Iterator[Declared]:
    """Every version of the list that is known here: that of the tree, and those of the history."""
    yield json.loads((ROOT / DECLARED).read_text(encoding="utf-8"))
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return  # a source distribution: its history was tested where it was made
    for commit in git("log", "--format=%H", "--diff-filter=AM", "--", DECLARED).split():
        yield json.loads(git("show", f"{commit}:{DECLARED}"))


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def entries() -> list[str]:
    """What the changelog says, an entry each."""
    fragments = [path.read_text(encoding="utf-8") for path in (ROOT / "changelog.d").glob("*.removed.md")]
    return [*fragments, *(ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("\n\n")]


def unsaid(now: Declared, before: Iterable[Declared], told: Sequence[str]) -> list[str]:
    """What was carried before and is not now, and no entry names with its format."""
    gone = {(name, field) for one in before for name, fields in one.items() for field in fields}
    gone -= {(name, field) for name, fields in now.items() for field in fields}
    return sorted(
        f"{name}: {field}"
        for name, field in gone
        if not any(f"`{name}`" in entry and f"`{field}`" in entry for entry in told)
    )


def test_what_a_format_no_longer_carries_is_in_the_changelog() -> None:
    now, *before = versions()
    missing = unsaid(now, before, entries())
    assert not missing, (
        f"no longer carried: {', '.join(missing)}; write changelog.d/<slug>.removed.md that names the format and the "
        "field in backquotes"
    )


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ([], ["openai-chat: seed"]),
        (["`cohere-chat` no longer carries `seed`."], ["openai-chat: seed"]),
        (["`openai-chat` no longer carries `user`."], ["openai-chat: seed"]),
        (["`openai-chat` no longer carries `seed`, which no model takes."], []),
    ],
)
def test_only_an_entry_about_it_counts(told: list[str], found: list[str]) -> None:
    before = [{"openai-chat": ["model", "seed"]}, {"openai-chat": ["model"]}]
    assert unsaid({"openai-chat": ["model"], "other": ["x"]}, before, told) == found
