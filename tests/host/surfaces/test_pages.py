"""Pages that plugins add to the host: who may see them, what browsers may do with them, what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from end_to_end.loopback import Loopback, Reply, loopback
from llmgate import Pipeline
from llmgate.host.surfaces.pages import POLICY
from llmgate.spec import ConfigError, InvalidRequestError, PageAnswer, PageRequest, Pages, Reception, hookimpl

ANN, BOSS = "key-of-ann-0123456789012345678901234567890", "key-of-boss-012345678901234567890123456789"
KEYS = [{"name": "ann", "secret": "env:ANN"}, {"name": "boss", "secret": "env:BOSS", "scopes": ["usage"]}]


@attrs.frozen
class GlassConfig:
    """Where."""

    path: str = "/glass"


class Glass(Pages[GlassConfig]):
    """Shows what it was asked."""

    name = "glass"
    config_class = GlassConfig
    seen: Sequence[PageRequest] = ()

    async def answer(self, request: PageRequest, reception: Reception) -> PageAnswer:
        type(self).seen = (*self.seen, request)
        if request.path == "open":
            return PageAnswer(
                str(reception.open).encode(), headers=[("Content-Security-Policy", "none"), ("X-Own", "1")]
            )
        if request.path == "kept":
            return PageAnswer(b"//", content_type="text/javascript", headers=[("Cache-Control", "max-age=60")])
        if request.path == "broken":
            raise RuntimeError("nobody expected this")
        if request.path == "twice":
            await reception.enter()
            await reception.enter()
        visitor = await reception.enter(request.form.get("key", [None])[0])
        if request.path == "refused":
            raise InvalidRequestError("<b>no</b>")
        if request.path == "usage":
            return PageAnswer(str((await visitor.usage({"by": ["model"]})).total.requests).encode())
        if request.path == "records":
            page, cursor = await visitor.records({"limit": ["1"]})
            kept = await visitor.record(page.records[0].id)
            return PageAnswer(f"{kept.record.request_model} {cursor is not None}".encode())
        if request.path == "deployments":
            return PageAnswer(str([one["id"] for one in await visitor.deployments()]).encode())
        return PageAnswer(f"{visitor.principal.id} {visitor.sees_all}".encode())


@hookimpl
def llmgate_register_pages() -> type[Glass]:
    return Glass


PLUGIN = SimpleNamespace(__name__="glass", llmgate_register_pages=llmgate_register_pages)


@pytest.fixture(autouse=True)
def _fresh():
    Glass.seen = ()


@asynccontextmanager
async def served(tmp_path: Any, **sections: Any) -> AsyncIterator[Loopback]:
    settings = {
        "providers": {"echo": {}},
        "auth": [{"use": "static-keys", "keys": KEYS}],
        "loggers": [{"use": "json-lines", "path": str(tmp_path / "records.jsonl")}],
        "pages": ["glass"],
        **sections,
    }
    async with loopback(settings, plugins=[PLUGIN], environment={"ANN": ANN, "BOSS": BOSS}) as one:
        yield one


async def ask(one: Loopback, path: str, method: str = "GET", *, data: Any = None, **headers: str) -> Reply:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"http://127.0.0.1:{one.port}{path}"
    async with one.client.request(method, url, headers=sent, data=data, allow_redirects=False) as response:
        return Reply(response.status, {k.lower(): v for k, v in response.headers.items()}, await response.read())


async def test_whoever_has_a_key_is_known_and_sees_what_the_read_api_would_show_him(tmp_path):
    async with served(tmp_path) as one:
        assert (await ask(one, "/glass", authorization=f"Bearer {ANN}")).body == b"ann False"
        assert (await ask(one, "/glass/", authorization=f"Bearer {BOSS}")).body == b"boss True"
        for _ in range(2):
            body = {"model": "echo/echo", "messages": [{"role": "user", "content": "hi"}]}
            assert (await one.post(body, "/v1/chat/completions", authorization=f"Bearer {ANN}")).status == 200
        for _ in range(200):
            if (await ask(one, "/glass/usage", authorization=f"Bearer {BOSS}")).body == b"2":
                break
            await asyncio.sleep(0.02)
        else:
            raise AssertionError("the usage is not shown")
        assert (await ask(one, "/glass/records", authorization=f"Bearer {ANN}")).body == b"echo/echo True"
        assert (await ask(one, "/glass/deployments", authorization=f"Bearer {ANN}")).body == b"['echo/echo']"


async def test_strangers_get_the_401_of_everybody_as_a_page_and_leave_a_record(tmp_path):
    async with served(tmp_path) as one:
        for headers in ({}, {"authorization": "Bearer wrong"}):
            reply = await ask(one, "/glass", **headers)
            assert reply.status == 401
            assert reply.headers["content-type"].startswith("text/html")
            assert reply.headers["content-security-policy"] == POLICY
        assert [(record.surface, record.status, record.operation) for record in one.records] == [
            ("pages", 401, "records")
        ] * 2


async def test_a_key_from_a_form_is_judged_in_the_place_of_the_headers(tmp_path):
    async with served(tmp_path) as one:
        own = {"sec_fetch_site": "same-origin"}
        reply = await ask(one, "/glass", "POST", data={"key": BOSS}, authorization=f"Bearer {ANN}", **own)
        assert reply.body == b"boss True"
        assert (
            await ask(one, "/glass", "POST", data={"key": "wrong"}, authorization=f"Bearer {ANN}", **own)
        ).status == 401
        assert (await ask(one, "/glass", "POST", data={"key": "k" * 9000}, **own)).status == 401


async def test_forms_of_other_sites_and_of_nobody_are_refused(tmp_path):
    async with served(tmp_path) as one:
        here = f"http://127.0.0.1:{one.port}"
        for headers, status in (
            ({}, 403),
            ({"sec_fetch_site": "cross-site"}, 403),
            ({"sec_fetch_site": "same-site"}, 403),
            ({"sec_fetch_site": "none"}, 403),
            ({"origin": "null"}, 403),
            ({"origin": "https://evil.example"}, 403),
            ({"origin": f"http://127.0.0.1:{one.port}.evil.example"}, 403),
            ({"origin": "http://[::1"}, 403),
            ({"origin": here, "sec_fetch_site": "cross-site"}, 403),
            ({"origin": here}, 200),
            ({"sec_fetch_site": "same-origin"}, 200),
        ):
            reply = await ask(one, "/glass", "POST", data={"key": ANN}, **headers)
            assert reply.status == status, headers
        assert len(Glass.seen) == 2, "what is refused is not handed over"


async def test_what_is_no_small_form_is_refused(tmp_path):
    async with served(tmp_path) as one:
        own = {"sec_fetch_site": "same-origin"}
        assert (await ask(one, "/glass", "POST", data=b"{}", content_type="application/json", **own)).status == 415
        assert (await ask(one, "/glass", "POST", data={"key": "x" * 70_000}, **own)).status == 413
        assert (await ask(one, "/glass", "POST", data={f"f{n}": "1" for n in range(300)}, **own)).status == 400
        assert (await ask(one, "/glass?x=%ff", authorization=f"Bearer {ANN}")).status == 400
        reply = await ask(one, "/glass", "DELETE")
        assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD, POST")
        assert not Glass.seen


async def test_every_answer_is_safe_and_no_page_can_make_it_less_so(tmp_path):
    async with served(tmp_path) as one:
        reply = await ask(one, "/glass/open")
        assert (reply.body, reply.headers["x-own"], reply.headers["content-security-policy"]) == (b"False", "1", POLICY)
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["x-frame-options"] == "DENY"
        kept = await ask(one, "/glass/kept")
        assert (kept.headers["cache-control"], kept.headers["content-type"]) == ("max-age=60", "text/javascript")
        head = await ask(one, "/glass/kept", "HEAD")
        assert (head.status, head.body) == (200, b"")


async def test_errors_are_pages_that_say_what_is_wrong_escaped(tmp_path):
    async with served(tmp_path) as one:
        reply = await ask(one, "/glass/refused", authorization=f"Bearer {ANN}")
        assert reply.status == 400
        assert b"&lt;b&gt;no&lt;/b&gt;" in reply.body
        assert reply.headers["content-security-policy"] == POLICY
        for path in ("broken", "twice"):
            reply = await ask(one, f"/glass/{path}", authorization=f"Bearer {ANN}")
            assert reply.status == 500
            assert b"nobody expected" not in reply.body


async def test_without_a_logger_that_can_be_asked_it_says_which(tmp_path):
    async with served(tmp_path, loggers=[]) as one:
        assert (await ask(one, "/glass", authorization=f"Bearer {BOSS}")).body == b"boss True"
        reply = await ask(one, "/glass/usage", authorization=f"Bearer {ANN}")
        assert reply.status == 404
        assert b"json-lines with a path" in reply.body


async def test_cookies_and_words_are_read_and_the_root_is_told(tmp_path):
    async with served(tmp_path) as one:
        await ask(one, "/glass/a/b?x=1&x=2&y=", cookie="session=abc; other=1", authorization=f"Bearer {ANN}")
        (seen,) = Glass.seen
        assert (seen.path, seen.root, seen.secure) == ("a/b", "/glass", False)
        assert seen.query == {"x": ["1", "2"], "y": [""]}
        assert seen.cookies == {"session": "abc", "other": "1"}


async def test_while_nobody_has_to_log_in_other_sites_are_kept_out_and_everybody_here_is_let_in(tmp_path):
    async with served(tmp_path, auth=[]) as one:
        assert (await ask(one, "/glass")).body == b"anonymous False"
        assert (await ask(one, "/glass/open")).body == b"True"
        assert (await ask(one, "/glass", sec_fetch_site="cross-site")).status == 403
        assert (await ask(one, "/glass", host="evil.example")).status == 403


async def test_pages_come_and_go_with_a_reload(tmp_path):
    async with served(tmp_path, pages=[{"use": "glass", "path": "/other"}]) as one:
        assert (await ask(one, "/glass/open")).status == 404
        assert (await ask(one, "/other/open")).status == 200
        auth = [{"use": "static-keys", "keys": KEYS}]
        await one.pipeline.reload({"providers": {"echo": {}}, "auth": auth, "pages": ["glass"]})
        assert (await ask(one, "/glass/open")).status == 200
        assert (await ask(one, "/other/open")).status == 404


def assemble(*pages: Any) -> None:
    Pipeline.from_config({"providers": {"echo": {}}, "pages": pages}, environment={}, plugins=[PLUGIN])


@pytest.mark.parametrize("path", ["glass", "/", "/a/b", "/A", "/a b", "/v1", "/health", "/openai", "/echo", "/-a"])
def test_a_place_that_is_none_or_is_taken_is_refused(path):
    with pytest.raises(ConfigError, match="pages"):
        Pipeline.from_config(
            {"providers": {"echo": {}}, "pages": [{"use": "glass", "path": path}]}, environment={}, plugins=[PLUGIN]
        )


def test_two_pages_cannot_be_in_one_place():
    with pytest.raises(ConfigError, match="other pages at /glass"):
        assemble("glass", "glass")
