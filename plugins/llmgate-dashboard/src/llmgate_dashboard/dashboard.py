"""The dashboard: which address is which page, who may see it, and what becomes of those who may not."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

import attrs

from llmgate.spec import (
    AuthenticationError,
    ConfigError,
    GatewayError,
    InvalidRequestError,
    PageAnswer,
    PageRequest,
    Pages,
    Reception,
    StageContext,
    Visitor,
    zone_named,
)

from .config import DashboardConfig
from .figures import ask_figures, percentile
from .questions import EXPLORED, NARROWED, RANGES, Question
from .rendering import Press
from .sessions import LEAST, Sessions, new_secret
from .trace import readable, steps_of

__all__ = ["Dashboard"]

_SIGN_IN: Final = "sign-in"
_PAGE: Final = 50
"""Requests of a page of the explorer."""
_UNKNOWN_KEY: Final = "This key is not known here. Keys are those that applications call the gateway with."
_NOT_KEPT: Final = "records_not_kept"


@attrs.frozen(eq=False)
class _Ready:
    """What is there while the dashboard is open."""

    press: Press
    sessions: Sessions
    context: StageContext
    zone: dt.tzinfo


class Dashboard(Pages[DashboardConfig]):
    """Shows what the gateway does, to whoever may ask its read API: figures, lists, and each request as a tree."""

    name = "dashboard"
    config_class = DashboardConfig

    def __init__(self, config: DashboardConfig) -> None:
        super().__init__(config)
        self._ready: _Ready | None = None

    async def open(self, context: StageContext) -> None:
        """Read templates, and the secret of sessions.

        Raises:
            ConfigError: there is none where several workers need it, or it is too short.
        """
        zone = zone_named(self.config.zone)
        press = await asyncio.to_thread(Press.load, self.config.title, zone)
        sessions = Sessions(
            await self._secret(context), self.config.session_ttl, context.clock, self.config.secure_cookie
        )
        self._ready = _Ready(press, sessions, context, zone)

    async def _secret(self, context: StageContext) -> str:
        ref = self.config.session_secret
        if ref is not None:
            secret = (await context.fetch_secret(ref)).reveal()
            if len(secret) < LEAST:
                raise ConfigError(f"{context.id}: session-secret: {ref} is too short: write {LEAST} random characters")
            return secret
        if context.workers > 1:
            raise ConfigError(
                f"{context.id}: several workers need one session-secret, so that each knows who has signed in at "
                "another: write session-secret: env:DASHBOARD_SECRET, and 32 random characters there"
            )
        return new_secret()

    async def aclose(self) -> None:
        """Forget the secret."""
        self._ready = None

    async def answer(self, request: PageRequest, reception: Reception) -> PageAnswer:
        """The page of an address.

        Raises:
            GatewayError: why there is none.
        """
        ready = self._ready
        if ready is None:
            raise GatewayError("the dashboard is not open")
        first, _, rest = request.path.partition("/")
        if first == "assets" and (file := ready.press.file(rest)) is not None:
            return file
        return await _Visit(ready, self.config, request, reception).answer(first, rest)


@attrs.define(eq=False)
class _Visit:
    """One request for a page."""

    ready: _Ready
    config: DashboardConfig
    request: PageRequest
    reception: Reception
    visitor: Visitor | None = None

    async def answer(self, first: str, rest: str) -> PageAnswer:
        if self.request.method == "POST":
            if (first, rest) == (_SIGN_IN, ""):
                return await self._sign_in()
            if (first, rest) == ("sign-out", ""):
                return self._sign_out()
            return self._message(404, "There is no such form", "Begin again at the first page.")
        if (first, rest) == (_SIGN_IN, ""):
            return self._ask_for_key(200, "")
        try:
            visitor = self.visitor = await self._enter()
        except AuthenticationError:
            return self._turn_away()
        try:
            return await self._page(visitor, first, rest)
        except InvalidRequestError as error:
            return self._message(400, "This cannot be asked", error.message)
        except GatewayError as error:
            if error.code != _NOT_KEPT:
                return self._message(error.http_status, "There is nothing to show", error.message)
            return self._message(404, "No records are kept", error.message, example=True)

    async def _page(self, visitor: Visitor, first: str, rest: str) -> PageAnswer:
        if first == "":
            return await self._overview(visitor)
        if first == "requests":
            return await (self._explorer(visitor) if not rest else self._one(visitor, rest))
        return self._message(404, "There is no such page", "Begin again at the first page.")

    # Who it is.

    async def _enter(self) -> Visitor:
        return await self.reception.enter(self.ready.sessions.key(self.request.cookies))

    def _turn_away(self) -> PageAnswer:
        """To the sign-in page, and from there back here; a script that asks for a part of a page reloads all of it."""
        path = self.request.path
        here = {"next": path + self._query()} if path or self.request.query else {}
        place = f"{self.request.root}/{_SIGN_IN}" + (f"?{urlencode(here)}" if here else "")
        if self.request.headers.get("hx-request") == "true":
            return PageAnswer(status=401, headers=(("hx-redirect", place),))
        return PageAnswer(status=303, headers=(("location", place),))

    def _query(self) -> str:
        written = urlencode(self.request.query, doseq=True)
        return f"?{written}" if written else ""

    def _ask_for_key(self, status: int, wrong: str) -> PageAnswer:
        wanted = (self.request.form or self.request.query).get("next", [""])[-1]
        return self._render("sign_in.html", status, wrong=wrong, next=wanted, page=_SIGN_IN)

    async def _sign_in(self) -> PageAnswer:
        key = self.request.form.get("key", [""])[-1].strip()
        try:
            if not key:
                raise AuthenticationError("no key was written")
            await self.reception.enter(key)
        except AuthenticationError:
            return self._ask_for_key(401, _UNKNOWN_KEY)
        wanted = self.request.form.get("next", [""])[-1]
        place = f"{self.request.root}/{_below(wanted)}".removesuffix("/")
        cookie = self.ready.sessions.begin(key, self.request)
        return PageAnswer(status=303, headers=(("location", place), ("set-cookie", cookie)))

    def _sign_out(self) -> PageAnswer:
        cookie = self.ready.sessions.end(self.request)
        place = f"{self.request.root}/{_SIGN_IN}"
        return PageAnswer(status=303, headers=(("location", place), ("set-cookie", cookie)))

    # What there is to see.

    async def _overview(self, visitor: Visitor) -> PageAnswer:
        question = Question.read(self.request.query, NARROWED)
        now = self.ready.context.clock.now()
        figures = await ask_figures(visitor, question, now, self.ready.zone)
        return self._render(
            "overview.html",
            figures=figures,
            total=figures.total,
            p50=percentile(figures.total, 0.5),
            p95=percentile(figures.total, 0.95),
            question=question,
            ranges=RANGES.values(),
            dimensions=NARROWED,
            now=now,
            page="overview",
        )

    async def _explorer(self, visitor: Visitor) -> PageAnswer:
        query = self.request.query
        question = Question.read(query, EXPLORED)
        cursor = query.get("cursor", [""])[-1]
        now = self.ready.context.clock.now()
        since = question.span.beginnings(now, self.ready.zone)[0]
        asked: dict[str, Sequence[str]] = {
            **question.words(self.config.zone),
            "since": [f"{since:.0f}"],
            "limit": [str(_PAGE)],
        }
        if cursor:
            asked["cursor"] = [cursor]
        wrong, records, following = "", [], None
        try:
            page, following = await visitor.records(asked)
            records = list(page.records)
        except InvalidRequestError as error:
            wrong = error.message
        return self._render(
            "requests.html",
            400 if wrong else 200,
            records=records,
            wrong=wrong,
            following=following,
            cursor=cursor,
            question=question,
            ranges=RANGES.values(),
            page="requests",
        )

    async def _one(self, visitor: Visitor, record_id: str) -> PageAnswer:
        kept = await visitor.record(record_id)
        record = kept.record
        content = record.content
        sides = () if content is None else (("Asked", content.request), ("Answered", content.response))
        return self._render(
            "request.html",
            record=record,
            feedback=kept.feedback,
            steps=steps_of(record),
            contents=[(name, side, readable(side)) for name, side in sides if side is not None],
            page="request",
        )

    def _message(self, status: int, head: str, text: str, *, example: bool = False) -> PageAnswer:
        return self._render("message.html", status, head=head, text=text, example=example, page="message")

    def _render(self, template: str, status: int = 200, **values: Any) -> PageAnswer:
        return self.ready.press.page(
            template,
            status,
            root=self.request.root,
            visitor=self.visitor,
            signed_in=bool(self.ready.sessions.key(self.request.cookies)) and self.visitor is not None,
            refresh=f"{self.config.refresh_interval:g}",
            **values,
        )


def _below(wanted: str) -> str:
    """A place of the dashboard's own that somebody wanted to go to; ``""`` for any other."""
    path, _, query = wanted.partition("?")
    if path not in ("", "requests") and not path.startswith("requests/"):
        return ""
    return quote(path) + (f"?{quote(query, safe='=&%+')}" if query else "")
