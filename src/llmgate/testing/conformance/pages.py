"""What pages of the host promise."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from typing import Any, ClassVar

import pytest

from llmgate.spec import (
    AuthenticationError,
    GatewayError,
    KeptRecord,
    PageAnswer,
    PageRequest,
    Pages,
    Principal,
    Reception,
    Record,
    RecordPage,
    StageContext,
    Tally,
    UsageReport,
    UsageRow,
    Visitor,
)
from llmgate.testing.samples import sample_record

from .base import StageConformance

__all__ = ["FakeReception", "FakeVisitor", "PagesConformance", "fake_visitor"]

_MARK = "hostile"
_HOSTILE = f"<script>{_MARK}()</script><img src=x onerror={_MARK}()>\"'`--><{_MARK}> javascript:{_MARK}()"
"""What a caller may write into a model name or a label to have a browser run it."""
_ELSEWHERE = ("javascript:", "http:", "https:", "//", "data:")
_HANDLER = re.compile(r"on[a-z]+", re.IGNORECASE)


class FakeVisitor:
    """Somebody who may look at the records that a test has made.

    Args:
        records: What the gateway keeps.
        sees_all: Whether he sees everybody's.
        failure: What every question fails with; None for none.
    """

    def __init__(
        self, records: Sequence[Record], *, sees_all: bool = True, failure: GatewayError | None = None
    ) -> None:
        self.principal = Principal(id="ann", issuer="static-keys")
        self.sees_all = sees_all
        self.asked: list[Mapping[str, Sequence[str]]] = []
        self._records = records
        self._failure = failure

    async def records(self, asked: Mapping[str, Sequence[str]]) -> tuple[RecordPage, str | None]:
        """All of them."""
        self._note(asked)
        return RecordPage(self._records, more=False), None

    async def record(self, record_id: str) -> KeptRecord:
        """The one of that id."""
        self._note({})
        found = next((one for one in self._records if one.id == record_id), None)
        if found is None:
            raise GatewayError("there is no such record", code="record_not_found")
        return KeptRecord(found)

    async def usage(self, asked: Mapping[str, Sequence[str]]) -> UsageReport:
        """All of them added up, in one group that is called as the first record's model."""
        self._note(asked)
        tally = Tally()
        for record in self._records:
            tally.add(record)
        width = sum(len(text.split(",")) for text in asked.get("by", ()))
        name = self._records[0].request_model if self._records else None
        group = tuple("2026-11-22T10:00+00:00" if index == 0 and width > 1 else name for index in range(width))
        return UsageReport([UsageRow(group, tally)] if self._records else [], tally)

    async def deployments(self) -> Sequence[Mapping[str, Any]]:
        """None that has been asked."""
        self._note({})
        return []

    def _note(self, asked: Mapping[str, Sequence[str]]) -> None:
        self.asked.append(asked)
        if self._failure is not None:
            raise self._failure


def fake_visitor(*records: Record, sees_all: bool = True, failure: GatewayError | None = None) -> FakeVisitor:
    """Somebody who may look at these records."""
    return FakeVisitor(records, sees_all=sees_all, failure=failure)


class FakeReception:
    """A door of which a test has the key.

    Args:
        visitor: Who enters.
        key: What he must present; None where everybody is let in.
    """

    def __init__(self, visitor: Visitor, key: str | None = None) -> None:
        self.open = key is None
        self.entered = 0
        self._visitor = visitor
        self._key = key

    async def enter(self, key: str | None = None) -> Visitor:
        """Let in whoever has the key."""
        self.entered += 1
        if self._key is not None and key != self._key:
            raise AuthenticationError("no valid key was presented")
        return self._visitor


class _Reader(HTMLParser):
    """Finds what a strict policy would stop, and what a caller's text has become."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self._script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "script" and not named.get("src"):
            self.wrong.append("a script inside the page")
        if tag == "style" or "style" in named:
            self.wrong.append(f"a style inside the page, at <{tag}>")
        if tag == _MARK or any(_HANDLER.fullmatch(name) for name in named):
            self.wrong.append(f"a caller's text has become markup: <{tag} {named}>")
        for name in ("href", "src", "action"):
            if (
                (named.get(name) or "")
                .strip()
                .lower()
                .startswith(("javascript:", "http:", "https:", "//", "data:text"))
            ):
                self.wrong.append(f"{name}={named[name]!r} leads out of the gateway")


class PagesConformance(StageConformance):
    """Pages; a subclass may say which paths it has and what a caller who is let in looks like.

    Attributes:
        paths: Paths below the stage's own that are asked for; ``""`` is the first page.
    """

    kind = "pages"
    paths: ClassVar[Sequence[str]] = ("",)

    def make_request(self, path: str, **fields: Any) -> PageRequest:
        """A request for a path; a subclass adds what its signed-in callers send."""
        return PageRequest(path=path, root=self._pages().path, **fields)

    def _pages(self) -> Pages[Any]:
        pages: Pages[Any] = self.make_stage()
        return pages

    async def ask(self, context: StageContext, path: str, reception: Reception) -> PageAnswer:
        """The answer of a new stage."""
        async with self.opened(context) as stage:
            answer: PageAnswer = await stage.answer(self.make_request(path), reception)
            return answer

    def test_has_a_place(self) -> None:
        """The path is a slash and one segment."""
        assert re.fullmatch(r"/[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", self._pages().path)

    @pytest.mark.asyncio
    async def test_answers_where_nothing_has_happened(self, context: StageContext) -> None:
        """No record is no error."""
        for path in self.paths:
            answer = await self.ask(context, path, FakeReception(fake_visitor()))
            assert answer.status == 200, f"{path!r}: {answer.body[:200]!r}"

    @pytest.mark.asyncio
    async def test_a_policy_without_exceptions_holds(self, context: StageContext) -> None:
        """No script, style or handler is inside a page, nothing comes from elsewhere, what callers wrote is escaped."""
        record = sample_record(
            request_model=_HOSTILE,
            principal=_HOSTILE,
            user=_HOSTILE,
            error_message=_HOSTILE,
            properties={_HOSTILE: _HOSTILE},
            metadata={_HOSTILE: _HOSTILE},
        )
        for path in (*self.paths, _HOSTILE.replace("/", "")):
            try:
                answer = await self.ask(context, path, FakeReception(fake_visitor(record)))
            except GatewayError:
                continue
            if answer.content_type.startswith("text/html"):
                reader = _Reader()
                reader.feed(answer.body.decode("utf-8"))
                assert not reader.wrong, f"{path!r}: {reader.wrong}"

    @pytest.mark.asyncio
    async def test_strangers_see_no_record(self, context: StageContext) -> None:
        """Whoever is not let in is shown nothing, and nothing is asked for him."""
        visitor = fake_visitor(sample_record(request_model="model-of-others"))
        for path in self.paths:
            try:
                answer = await self.ask(context, path, FakeReception(visitor, key="the key"))
            except AuthenticationError:
                continue
            assert b"model-of-others" not in answer.body
        assert not visitor.asked, "enter first, and ask afterwards"

    @pytest.mark.asyncio
    async def test_errors_of_the_gateway_are_no_accidents(self, context: StageContext) -> None:
        """A gateway that cannot answer is said to be so: by an answer, or by its own error."""
        failure = GatewayError("no logger can be asked", code="records_not_kept")
        for path in self.paths:
            try:
                answer = await self.ask(context, path, FakeReception(fake_visitor(failure=failure)))
            except GatewayError:
                continue
            assert isinstance(answer, PageAnswer)
