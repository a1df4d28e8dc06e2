"""The kit for pages finds what it is there to find."""

from __future__ import annotations

import pytest

from llmgate.spec import GatewayError, NoConfig, PageAnswer, PageRequest, Pages, Reception
from llmgate.testing import FakeClock
from llmgate.testing.conformance.pages import FakeReception, PagesConformance, fake_visitor
from llmgate.testing.samples import sample_record


def kit(page: str, *, ask_first: bool = False, content_type: str = "text/html") -> PagesConformance:
    """The kit around a page in which {} stands for the model of the first record."""

    class Seeded(Pages[NoConfig]):
        name = "seeded"

        async def answer(self, request: PageRequest, reception: Reception) -> PageAnswer:
            if ask_first:
                await reception._visitor.records({})  # type: ignore[attr-defined]
            visitor = await reception.enter()
            found, _ = await visitor.records({})
            model = found.records[0].request_model if found.records else ""
            return PageAnswer(page.replace("{}", str(model)).encode(), content_type=content_type)

    class Kit(PagesConformance):
        stage_class = Seeded

    return Kit()


@pytest.fixture
def context(tmp_path):
    return kit("").make_context(tmp_path, FakeClock())


async def test_a_plain_page_keeps_every_promise(context):
    one = kit("<p>fine</p>")
    one.test_has_a_place()
    await one.test_answers_where_nothing_has_happened(context)
    await one.test_a_policy_without_exceptions_holds(context)
    await one.test_strangers_see_no_record(context)
    await one.test_errors_of_the_gateway_are_no_accidents(context)


@pytest.mark.parametrize(
    "page",
    [
        "<p>{}</p>",
        '<p title="{}">',
        "<script>go()</script>",
        "<style>p {}</style>",
        '<p style="color: red">',
        '<button onclick="go()">',
        '<script src="https://cdn.invalid/x.js"></script>',
        '<a href="javascript:go()">',
        '<form action="//evil.invalid">',
    ],
)
async def test_what_a_policy_would_stop_is_found(context, page):
    with pytest.raises(AssertionError):
        await kit(page).test_a_policy_without_exceptions_holds(context)


async def test_asking_before_entering_is_found(context):
    with pytest.raises(AssertionError, match="enter first"):
        await kit("", ask_first=True).test_strangers_see_no_record(context)


async def test_the_doubles_answer_as_the_host_does():
    record = sample_record(request_model="a-model")
    visitor = await FakeReception(fake_visitor(record), key="k").enter("k")
    assert (await visitor.record(record.id)).record is record
    with pytest.raises(GatewayError, match="no such record"):
        await visitor.record("none")
    report = await visitor.usage({"by": ["day,model"]})
    assert report.rows[0].group[1] == "a-model"
    assert report.total.requests == 1
    assert await visitor.deployments() == []
