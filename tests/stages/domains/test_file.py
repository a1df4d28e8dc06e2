"""The book as a file: it only grows, survives a line that was cut off, and names one that is no event."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from llmgate.spec import ConfigError, DomainEvent, StageContext
from llmgate.stages.domains.file import File, FileConfig
from llmgate.testing.clock import FakeClock
from llmgate.testing.conformance import DomainConformance


class TestFile(DomainConformance):
    stage_class = File


async def opened(directory: Path, path: str = "book.jsonl") -> File:
    book = File(FileConfig(path))
    context: StageContext = DomainConformance().make_context(directory, FakeClock())
    await book.open(context)
    return book


async def test_the_book_only_grows_and_survives_a_line_that_was_cut_off(tmp_path: Path) -> None:
    book = await opened(tmp_path)
    assert await book.read() == ()
    first = DomainEvent("1", "a.example", "requested", token="t")
    await book.append(first)
    assert (tmp_path / "book.jsonl").stat().st_mode & 0o777 == 0o600
    with (tmp_path / "book.jsonl").open("ab") as file:
        file.write(b'{"at": "2", "dom')
    assert list(await book.read()) == [first]
    second = DomainEvent("3", "a.example", "approved", by="me", note="fine")
    await book.append(second)
    lines = (tmp_path / "book.jsonl").read_bytes().splitlines()
    assert json.loads(lines[-1]) == {"at": "3", "domain": "a.example", "action": "approved", "by": "me", "note": "fine"}
    assert list(await book.read()) == [first, second]


@pytest.mark.parametrize(
    "line",
    [
        '{"at": "1"}',
        "[]",
        '{"at": 1, "domain": "a", "action": "approved"}',
        '{"at": "1", "domain": "a", "action": "x"}',
        '{"at": "1", "domain": "a", "action": ["approved"]}',
        '{"at": "1", "domain": "a", "action": "denied", "more": "x"}',
    ],
)
async def test_a_line_that_is_no_event_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "book.jsonl"
    path.write_text(f"{line}\n\n" + json.dumps(attrs.asdict(DomainEvent("1", "a", "denied"))) + "\n")
    book = await opened(tmp_path)
    with pytest.raises(ConfigError, match=r"book\.jsonl:1"):
        await book.read()


async def test_a_book_that_cannot_be_read_or_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        await (await opened(tmp_path, "folder")).read()
    with pytest.raises(ConfigError, match="cannot be written"):
        await (await opened(tmp_path, "none/book")).append(DomainEvent("1", "a", "denied"))
