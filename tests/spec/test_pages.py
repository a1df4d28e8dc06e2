"""Where pages are, and what is shown of what a browser sends."""

from __future__ import annotations

import attrs

from llmgate.spec import NoConfig, PageAnswer, PageRequest, Pages, Reception


@attrs.frozen
class Placed:
    path: str = "/elsewhere"


class Plain(Pages[NoConfig]):
    name = "plain"

    async def answer(self, request: PageRequest, reception: Reception) -> PageAnswer:
        return PageAnswer()


def test_pages_are_at_their_name_or_where_their_config_says():
    assert Plain(NoConfig()).path == "/plain"
    assert Plain(Placed()).path == "/elsewhere"


def test_no_form_cookie_or_header_shows_in_a_log():
    request = PageRequest("", form={"key": ["sk-1"]}, cookies={"s": "sk-1"}, headers={"cookie": "sk-1"})
    assert "sk-1" not in repr(request)
