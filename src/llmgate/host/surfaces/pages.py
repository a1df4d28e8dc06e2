"""Pages that plugins add to the host: what a browser sends is read and judged here, and every answer made safe."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import attrs

from llmgate.host.calls import Call
from llmgate.host.errors import RefusedError, error_headers
from llmgate.host.guard import authenticates
from llmgate.host.headers import Headers, header_value
from llmgate.host.reading import media_type
from llmgate.pipeline import ExchangeFrame
from llmgate.pipeline.record_desk import RecordDesk, sees_all
from llmgate.pipeline.record_queries import next_cursor, record_query, usage_query
from llmgate.spec import (
    HTML,
    AuthenticationError,
    GatewayError,
    InvalidRequestError,
    KeptRecord,
    Operation,
    PageAnswer,
    PageRequest,
    Pages,
    Principal,
    RecordPage,
    UsageReport,
    Visitor,
)

from .operations import described

__all__ = ["POLICY", "find_pages", "show"]

SURFACE: Final = "pages"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""What a page may load, and from where: nothing but files of the gateway's own, and no script or style inside it."""
_SAFE: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_HOSTS_OWN: Final = frozenset({*_SAFE, "content-type", "content-length", "connection", "transfer-encoding"})
_METHODS: Final = ("GET", "HEAD", "POST")
_FORM: Final = "application/x-www-form-urlencoded"
_LARGEST_FORM: Final = 64 * 1024
_MOST_WORDS: Final = 200
_LONGEST_KEY: Final = 8 * 1024


def find_pages(call: Call) -> tuple[Pages[Any], str] | None:
    """The pages that a path belongs to, and the rest of the path; None where it belongs to none."""
    pages = call.desk.pipeline.snapshot.pages
    if not pages:
        return None
    first, _, rest = call.path.removeprefix(call.root).removeprefix("/").partition("/")
    found = pages.get(f"/{first}")
    return None if found is None else (found, rest.removesuffix("/"))


async def show(call: Call, pages: Pages[Any], rest: str) -> None:
    """Answer a request for one of the pages.

    Args:
        call: The request.
        pages: Whose page it is.
        rest: The path behind theirs.
    """
    pin = call.desk.pipeline.pin()
    try:
        with call:
            answer = await _answer(call, pages, rest)
            await call.reply.whole(answer.status, _headers(call, answer), answer.body)
    finally:
        pin.release()


async def _answer(call: Call, pages: Pages[Any], rest: str) -> PageAnswer:
    try:
        request = await _read(call, pages, rest)
        async with AsyncExitStack() as stack:
            return await pages.answer(request, _Reception(call, stack))
    except GatewayError as error:
        call.note_refusal(error)
        call.error_code = error.code
        return _plain(call, error)


def _plain(call: Call, error: GatewayError) -> PageAnswer:
    """A page that says what is wrong."""
    said = html.escape(error.message)
    body = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{error.http_status}</title></head>'
        f"<body><h1>{error.http_status}</h1><p>{said}</p><p><small>{html.escape(call.request_id)}</small></p></body></html>"
    )
    told = [(name.decode("ascii"), value.decode("latin-1")) for name, value in error_headers(error)]
    return PageAnswer(body.encode("utf-8", "replace"), error.http_status, HTML, told)


def _headers(call: Call, answer: PageAnswer) -> Headers:
    headers: Headers = [(b"content-type", header_value(answer.content_type))]
    headers += [(name.encode("ascii"), value.encode("ascii")) for name, value in _SAFE.items()]
    own = [(name.lower(), value) for name, value in answer.headers if name.lower() not in _HOSTS_OWN]
    if not any(name == "cache-control" for name, _ in own):
        own.append(("cache-control", "no-store"))
    headers += [(name.encode("ascii"), header_value(value)) for name, value in own]
    headers.append((b"x-request-id", call.request_id.encode("ascii")))
    return headers + call.parting()


async def _read(call: Call, pages: Pages[Any], rest: str) -> PageRequest:
    """What a browser asks for.

    Raises:
        RefusedError: another method, or a form that is none or comes from a page of another site.
        InvalidRequestError: it cannot be read.
    """
    if call.method not in _METHODS:
        allowed = ", ".join(_METHODS)
        raise RefusedError(
            405,
            f"{call.method[:32]} is not served at {call.path[:200]}: use {allowed}",
            code="method_not_allowed",
            headers={"allow": allowed},
        )
    return PageRequest(
        path=rest,
        root=call.root + pages.path,
        method="POST" if call.method == "POST" else "GET",
        query=_words(call.query),
        form=await _form(call) if call.method == "POST" else {},
        headers=call.headers,
        cookies=_cookies(call.headers.get("cookie", "")),
        secure=call.secure,
        client_address=call.client_address,
    )


def _words(text: str) -> Mapping[str, Sequence[str]]:
    try:
        return parse_qs(text, keep_blank_values=True, max_num_fields=_MOST_WORDS, errors="strict")
    except ValueError:
        raise InvalidRequestError("the query or the form cannot be read: send fewer fields, in UTF-8") from None


async def _form(call: Call) -> Mapping[str, Sequence[str]]:
    if not _is_own(call.headers):
        raise RefusedError(403, "a form may be sent by a page of the gateway's own only", code="cross_site")
    if media_type(call.headers) != _FORM:
        raise RefusedError(415, f"a form comes as {_FORM}", code="unsupported_media_type")
    body = await call.read(most=_LARGEST_FORM)
    return _words(body.decode("latin-1"))


def _is_own(headers: Mapping[str, str]) -> bool:
    """Whether a page of the same origin sent it, which browsers say in one of two headers; who says neither is none."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    try:
        origin = urlsplit(headers.get("origin", "")).netloc
    except ValueError:
        return False
    return bool(origin) and origin.lower() == headers.get("host", "").lower()


def _cookies(header: str) -> Mapping[str, str]:
    try:
        return {name: unquote(morsel.value) for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}


class _Reception:
    """Where the pages find out who asks.

    Args:
        call: The request.
        stack: What the exchange is left with, once the page is made.
    """

    def __init__(self, call: Call, stack: AsyncExitStack) -> None:
        self._call = call
        self._stack = stack
        self._entered = False

    @property
    def open(self) -> bool:
        """Whether everybody is let in without a key."""
        return not authenticates(self._call.desk.config)

    async def enter(self, key: str | None = None) -> Visitor:
        """Who asks; once for a request."""
        if self._entered:
            raise RuntimeError("a page enters once for a request")
        self._entered = True
        if key is not None and len(key) > _LONGEST_KEY:
            raise AuthenticationError(f"a key of {len(key)} characters is none")
        frame = self._call.exchange(Operation.RECORDS, SURFACE, key=key)
        await self._stack.enter_async_context(frame)
        frame.exchange.status = 200
        return _Visitor(frame)


@attrs.frozen(eq=False)
class _Visitor:
    """A caller as the pages see him."""

    _frame: ExchangeFrame

    @property
    def principal(self) -> Principal:
        return self._frame.view.principal

    @property
    def sees_all(self) -> bool:
        return sees_all(self.principal)

    async def records(self, asked: Mapping[str, Sequence[str]]) -> tuple[RecordPage, str | None]:
        page = await self._desk().find(record_query(asked, self._frame.clock.now()))
        last = page.records[-1] if page.records else None
        return page, next_cursor(last.started_at, last.id) if last is not None and page.more else None

    async def record(self, record_id: str) -> KeptRecord:
        return await self._desk().read(record_id)

    async def usage(self, asked: Mapping[str, Sequence[str]]) -> UsageReport:
        return await self._desk().usage(usage_query(asked, self._frame.clock.now()))

    async def deployments(self) -> Sequence[Mapping[str, Any]]:
        return [described(one) for one in await self._frame.health()]

    def _desk(self) -> RecordDesk:
        return RecordDesk(self._frame.snapshot, self.principal, self._frame.clock)
