"""``llmgate-dashboard`` in a gateway, over HTTP: signing in, who sees what, filters, pages, traces, hostile names."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import attrs
import pytest

from end_to_end.loopback import Loopback, Reply, loopback
from llmgate import Pipeline
from llmgate.host.surfaces.pages import POLICY
from llmgate.spec import ConfigError, Content, RecordContent, StageTrace
from llmgate.testing.samples import sample_record

ANN, BOSS = "key-of-ann-0123456789012345678901234567890", "key-of-boss-012345678901234567890123456789"
KEYS = [{"name": "ann", "secret": "env:ANN"}, {"name": "boss", "secret": "env:BOSS", "scopes": ["usage"]}]
CHAT_ONLY = {"name": "chatter", "secret": "env:CHATTER", "scopes": ["chat"]}
HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(2)>\"'"


class Parsed(HTMLParser):
    """A page: its elements, its links, its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.tags if name == tag]

    @property
    def links(self) -> set[str]:
        return {str(found[name]) for _, found in self.tags for name in ("href", "src") if found.get(name)}


@attrs.define
class Browser:
    """Keeps a cookie, and follows nothing by itself."""

    gateway: Loopback
    cookie: str = ""

    async def get(self, path: str = "", **headers: str) -> Reply:
        return await self._ask("GET", path, None, headers)

    async def post(self, path: str, **form: str) -> Reply:
        return await self._ask("POST", path, form, {"sec-fetch-site": "same-origin"})

    async def page(self, path: str = "", status: int = 200) -> Parsed:
        reply = await self.get(path)
        assert reply.status == status, reply.body
        assert reply.headers["content-security-policy"] == POLICY
        return Parsed(reply.body.decode())

    async def sign_in(self, key: str, wanted: str = "") -> Reply:
        return await self.post("/sign-in", key=key, next=wanted)

    async def _ask(self, method: str, path: str, form: Any, headers: dict[str, str]) -> Reply:
        url = f"http://127.0.0.1:{self.gateway.port}" + (path if path.startswith("/dashboard") else f"/dashboard{path}")
        sent = {**headers, **({"cookie": self.cookie} if self.cookie else {})}
        async with self.gateway.client.request(method, url, headers=sent, data=form, allow_redirects=False) as response:
            given = response.headers.get("set-cookie")
            if given is not None:
                self.cookie = given.partition(";")[0]
            self.gateway.client.cookie_jar.clear()
            return Reply(response.status, {k.lower(): v for k, v in response.headers.items()}, await response.read())


@asynccontextmanager
async def served(tmp_path: Path, records: Any = (), **sections: Any) -> AsyncIterator[Browser]:
    """A gateway that has kept some records, and a browser."""
    file = tmp_path / "records.jsonl"
    settings = {
        "providers": {"echo": {}},
        "auth": [{"use": "static-keys", "keys": [*KEYS, CHAT_ONLY]}],
        "loggers": [{"use": "json-lines", "path": str(file)}],
        "pages": ["dashboard"],
        **sections,
    }
    environment = {"ANN": ANN, "BOSS": BOSS, "CHATTER": "key-of-chatter-0123456789012345678901234"}
    async with loopback(settings, environment=environment) as one:
        now = one.pipeline.clock.now()
        made = [attrs.evolve(record, started_at=now - 60 + number) for number, record in enumerate(records)]
        file.write_text("".join(f"{json.dumps(record.as_json())}\n" for record in made))
        yield Browser(one)


def of_ann(**fields: Any) -> Any:
    return sample_record(principal="ann", principal_issuer="static-keys", **fields)


def of_bob(**fields: Any) -> Any:
    return sample_record(principal="bob", principal_issuer="static-keys", **fields)


class TestSigningIn:
    async def test_whoever_has_not_is_led_there_and_back(self, tmp_path):
        async with served(tmp_path) as browser:
            reply = await browser.get("/requests?model=a&range=7d")
            assert reply.status == 303
            place = reply.headers["location"]
            assert place == "/dashboard/sign-in?" + urlencode({"next": "requests?model=a&range=7d"})
            (form,) = (await browser.page(place)).all("form")
            assert (form["method"], form["action"]) == ("post", "/dashboard/sign-in")
            reply = await browser.sign_in(ANN, "requests?model=a&range=7d")
            assert (reply.status, reply.headers["location"]) == (303, "/dashboard/requests?model=a&range=7d")
            assert (await browser.get(reply.headers["location"])).status == 200

    async def test_the_cookie_is_kept_from_scripts_and_other_sites_and_does_not_show_the_key(self, tmp_path):
        async with served(tmp_path) as browser:
            given = (await browser.sign_in(BOSS)).headers["set-cookie"]
            assert BOSS not in given
            assert given.endswith("; Path=/dashboard; Max-Age=43200; HttpOnly; SameSite=Strict")

    @pytest.mark.parametrize("key", ["", "wrong", HOSTILE, "k" * 9000])
    async def test_a_key_that_is_not_known_is_no_session(self, tmp_path, key):
        async with served(tmp_path) as browser:
            reply = await browser.sign_in(key)
            assert reply.status == 401
            assert b'role="alert"' in reply.body
            assert "set-cookie" not in reply.headers
            assert HOSTILE.encode() not in reply.body
            assert (await browser.get()).status == 303

    @pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example", "\\evil", "../v1", "sign-out", "/x"])
    async def test_nobody_is_led_anywhere_else(self, tmp_path, wanted):
        async with served(tmp_path) as browser:
            assert (await browser.sign_in(BOSS, wanted)).headers["location"] == "/dashboard"

    async def test_signing_out_ends_the_session_also_for_who_kept_the_cookie(self, tmp_path):
        async with served(tmp_path) as browser:
            await browser.sign_in(BOSS)
            stolen = Browser(browser.gateway, browser.cookie)
            assert (await stolen.get()).status == 200
            assert (await browser.post("/sign-out")).headers["location"] == "/dashboard/sign-in"
            assert (await browser.get()).status == 303
            assert (await stolen.get()).status == 303

    async def test_another_site_can_sign_nobody_in_or_out(self, tmp_path):
        async with served(tmp_path) as browser:
            url = f"http://127.0.0.1:{browser.gateway.port}/dashboard"
            for path in ("sign-in", "sign-out"):
                headers = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
                async with browser.gateway.client.post(f"{url}/{path}", data={"key": BOSS}, headers=headers) as reply:
                    assert reply.status == 403
                    assert "set-cookie" not in reply.headers

    async def test_a_key_that_is_revoked_shows_nothing_from_then_on(self, tmp_path):
        async with served(tmp_path) as browser:
            await browser.sign_in(BOSS)
            assert (await browser.get()).status == 200
            sections = {"providers": {"echo": {}}, "pages": ["dashboard"]}
            await browser.gateway.pipeline.reload({**sections, "auth": [{"use": "static-keys", "keys": KEYS[:1]}]})
            assert (await browser.get()).status == 303

    async def test_a_part_of_a_page_that_is_asked_for_too_late_has_the_whole_page_go_there(self, tmp_path):
        async with served(tmp_path) as browser:
            reply = await browser.get("", **{"hx-request": "true"})
            assert (reply.status, reply.headers["hx-redirect"]) == (401, "/dashboard/sign-in")

    async def test_where_nobody_has_to_log_in_nobody_is_asked(self, tmp_path):
        async with served(tmp_path, auth=[]) as browser:
            page = await browser.page()
            assert "Sign out" not in page.text


class TestWhoSeesWhat:
    async def test_a_key_sees_its_own_requests_and_the_scope_usage_everybodys(self, tmp_path):
        kept = [of_ann(request_model="model-of-ann"), of_bob(request_model="model-of-bob")]
        async with served(tmp_path, kept) as browser:
            await browser.sign_in(ANN)
            page = await browser.page("/requests")
            assert "model-of-ann" in page.text
            assert "model-of-bob" not in page.text
            assert (await browser.page(f"/requests/{kept[1].id}", 404)).text.count("model-of-bob") == 0
            await browser.sign_in(BOSS)
            assert "model-of-bob" in (await browser.page("/requests")).text
            assert "model-of-bob" in (await browser.page(f"/requests/{kept[1].id}")).text

    async def test_a_key_without_the_scope_sees_as_much_as_the_read_api_shows_it(self, tmp_path):
        async with served(tmp_path, [of_ann(request_model="model-of-ann")]) as browser:
            await browser.sign_in("key-of-chatter-0123456789012345678901234")
            assert "model-of-ann" not in (await browser.page("/requests")).text


class TestPages:
    async def test_an_empty_store_is_said_to_be_empty(self, tmp_path):
        async with served(tmp_path) as browser:
            await browser.sign_in(BOSS)
            assert "No requests in the last 24 hours" in (await browser.page()).text
            assert "No requests in the last 7 days that fit" in (await browser.page("/requests?range=7d&user=x")).text

    async def test_without_a_logger_that_can_be_asked_it_says_how_to_have_one(self, tmp_path):
        async with served(tmp_path, loggers=[]) as browser:
            await browser.sign_in(BOSS)
            for path in ("", "/requests"):
                page = await browser.page(path, 404)
                assert "No records are kept" in page.text
                assert "use: json-lines" in page.text

    async def test_figures_are_those_of_the_records(self, tmp_path):
        kept = [
            of_ann(cost_nano=1_500_000_000),
            of_bob(cost_nano=None, outcome="error", status=502),
            of_bob(cache="hit"),
        ]
        async with served(tmp_path, kept) as browser:
            await browser.sign_in(BOSS)
            page = await browser.page("?by=principal")
            words = " ".join(page.text.split())
            assert re.search(r"Requests ?3 Errors ?33 % ?1", words)
            assert "+ unknown for 2" in words
            series = {
                chart["id"]: json.loads(str(chart["data-series"]))
                for chart in page.all("div")
                if chart.get("data-series")
            }
            moments, answered, failed = series["chart-answered"]
            assert (len(moments), sum(answered), sum(failed)) == (24, 2, 1)
            assert "?by=principal&principal=bob" in page.links
            narrowed = " ".join((await browser.page("?principal=bob")).text.split())
            assert re.search(r"Requests ?2 Errors ?50 %", narrowed)

    async def test_every_link_of_every_page_leads_somewhere(self, tmp_path):
        async with served(tmp_path, [of_ann(), of_bob(outcome="error", status=502, error_code="x")]) as browser:
            await browser.sign_in(BOSS)
            todo, seen = ["/dashboard"], set()
            while todo and len(seen) < 50:
                path = todo.pop(0)
                if path in seen:
                    continue
                seen.add(path)
                reply = await browser.get(path)
                assert reply.status == 200, path
                if reply.headers["content-type"].startswith("text/html"):
                    base = path.partition("?")[0]
                    for link in sorted(Parsed(reply.body.decode()).links):
                        if not link.startswith("#"):
                            assert link.startswith(("/dashboard", "?")), f"{link} leads out of the dashboard"
                            todo.append(base + link if link.startswith("?") else link)
            assert any("/assets/uPlot" in path for path in seen), "the assets are among the links"

    async def test_the_explorer_goes_back_page_by_page_and_filters(self, tmp_path):
        kept = [of_ann(user="eve" if number % 2 else "ann") for number in range(59)]
        async with served(tmp_path, kept) as browser:
            await browser.sign_in(BOSS)
            page = await browser.page("/requests")
            shown = {link for link in page.links if re.fullmatch(r"/dashboard/requests/[0-9a-f-]+", link)}
            assert len(shown) == 50
            (older,) = (link for link in page.links if "cursor=" in link)
            rest = {
                link
                for link in (await browser.page(f"/requests{older}")).links
                if re.fullmatch(r"/dashboard/requests/[0-9a-f-]+", link)
            }
            assert len(shown | rest) == 59
            found = await browser.page("/requests?user=eve&status=2xx&slower=")
            assert len([link for link in found.links if re.fullmatch(r"/dashboard/requests/[0-9a-f-]+", link)]) == 29
            wrong = await browser.page("/requests?status=many", 400)
            assert "write 429 or 4xx" in wrong.text
            assert (await browser.get("/requests?cursor=x")).status == 400

    async def test_one_request_is_a_tree_with_its_attempts(self, tmp_path):
        stages = (StageTrace("auth", "passed", 90), StageTrace("attempt", "ok", 1000))
        content = RecordContent(Content(9, text='{"a":"</pre>"}'), Content(4, text="done", media_type="text/plain"))
        record = of_ann(stages=stages, content=content, properties={"env": "prod"})
        async with served(tmp_path, [record]) as browser:
            await browser.sign_in(BOSS)
            words = " ".join((await browser.page(f"/requests/{record.id}")).text.split())
            for expected in (
                "auth passed 90 µs",
                f"attempt {record.attempts[0].deployment}",
                "Property envprod",
                '"a": "</pre>"',
                "done",
            ):
                assert expected in words

    async def test_hostile_names_are_text_everywhere(self, tmp_path):
        record = of_ann(
            request_model=HOSTILE,
            user=HOSTILE,
            team=HOSTILE,
            outcome="error",
            error_code=HOSTILE,
            error_message=HOSTILE,
            properties={HOSTILE: HOSTILE},
            content=RecordContent(Content(9, text=HOSTILE), None),
            attempts=[
                attrs.evolve(sample_record().attempts[0], deployment=HOSTILE, model=HOSTILE, error_message=HOSTILE)
            ],
        )
        async with served(tmp_path, [record]) as browser:
            await browser.sign_in(BOSS)
            paths = [
                "",
                "?by=user",
                "?by=team",
                f"?{urlencode({'user': HOSTILE})}",
                "/requests",
                f"/requests/{record.id}",
            ]
            for path in [*paths, f"/requests?{urlencode({'text': HOSTILE, 'user': HOSTILE})}"]:
                page = await browser.page(path)
                assert HOSTILE in page.text or HOSTILE in str(page.tags), path
                assert all(found.get("src", "").startswith("/dashboard/assets/") for found in page.all("script")), path
                assert not page.all("img"), path
            for path in (f"/{urlencode({'x': HOSTILE})}", f"/requests/{urlencode({'x': HOSTILE})}", "?by=%3Cscript%3E"):
                assert b"<script>" not in (await browser.get(path)).body

    async def test_what_is_not_there_is_said_not_to_be(self, tmp_path):
        async with served(tmp_path) as browser:
            await browser.sign_in(BOSS)
            for path in ("/nothing", "/assets/nothing", "/requests/none", "/assets/..%2fconfig.py"):
                assert (await browser.get(path)).status in (400, 404)
            assert (await browser.post("/requests")).status == 404

    async def test_it_is_elsewhere_where_the_configuration_says_so(self, tmp_path):
        async with served(tmp_path, auth=[], pages=[{"use": "dashboard", "path": "/seen", "title": "Ours"}]) as browser:
            url = f"http://127.0.0.1:{browser.gateway.port}"
            async with browser.gateway.client.get(f"{url}/seen") as reply:
                page = Parsed(await reply.text())
            assert "/seen/requests" in page.links
            assert "Ours" in page.text
            async with browser.gateway.client.get(f"{url}/dashboard") as reply:
                assert reply.status == 404


class TestConfiguration:
    @pytest.mark.parametrize(
        ("said", "environment", "workers", "wrong"),
        [
            ({}, {}, 2, "several workers need one session-secret"),
            ({"session-secret": "env:SHORT"}, {"SHORT": "short"}, 1, "too short"),
            ({"session-secret": "env:SECRET"}, {"SECRET": "s" * 32}, 2, None),
        ],
    )
    async def test_the_secret_of_sessions(self, said, environment, workers, wrong):
        settings = {"providers": {"echo": {}}, "pages": [{"use": "dashboard", **said}]}
        pipeline = Pipeline.from_config(settings, environment=environment, workers=workers)
        if wrong is None:
            async with pipeline:
                pass
            return
        with pytest.raises(ConfigError, match=wrong):
            await pipeline.open()
        await pipeline.aclose()
