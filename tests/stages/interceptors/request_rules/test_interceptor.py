"""``request-rules``, phase by phase."""

from __future__ import annotations

import json

import attrs
import pytest

from llmgate.pipeline.links import StageLink
from llmgate.spec import (
    Aspect,
    ChatRequest,
    ConfigError,
    FinishReason,
    GatewayChunk,
    InvalidRequestError,
    Operation,
    PermissionDeniedError,
    StageContext,
)
from llmgate.stages.interceptors.request_rules import RequestRules, RequestRulesConfig
from llmgate.testing.clock import FakeClock
from llmgate.testing.samples import (
    sample_attempt,
    sample_chunk,
    sample_deployment,
    sample_exchange,
    sample_request,
    sample_response,
    sample_view,
)
from llmgate.testing.transport import ScriptedTransport


def rules(**config):
    return RequestRules(RequestRulesConfig(**config))


def never_decode(body: bytes) -> ChatRequest:
    raise AssertionError("a rule that is not written must not decode the body")


class TestAspects:
    @pytest.mark.parametrize(
        ("config", "reads", "writes"),
        [
            ({}, {Aspect.META}, set()),
            ({"models": ("x",), "metadata": {"a": "b"}, "max_concurrent_attempts": 1}, {Aspect.META}, set()),
            ({"max_output_tokens": 5}, {Aspect.META, Aspect.REQUEST}, {Aspect.REQUEST}),
            ({"count_output": True}, {Aspect.META, Aspect.STREAM}, set()),
            ({"max_output_characters": 5}, {Aspect.META, Aspect.STREAM}, {Aspect.STREAM}),
        ],
    )
    def test_each_rule_says_what_it_needs(self, config, reads, writes):
        stage = rules(**config)
        assert (stage.reads, stage.writes) == (reads, writes)

    async def test_without_rules_nothing_is_touched(self):
        stage, view = rules(), sample_view()
        request, response, chunk = sample_request(decode=never_decode), sample_response(), sample_chunk()
        assert await stage.before_request(view, request) is None
        assert await stage.after_response(view, response) is response
        assert stage.on_chunk(view, chunk) is chunk
        await stage.on_settle(view)
        assert view.notes("request-rules") == {}


class TestModels:
    @pytest.mark.parametrize("model", ["gpt-4o-mini", "openai/gpt-4o", "gpt-4o,openai/o3,!azure"])
    async def test_a_model_that_a_pattern_names_is_let_through(self, model):
        request = sample_request(model, decode=never_decode)
        assert await rules(models=("gpt-*", "openai/*")).before_request(sample_view(), request) is None

    @pytest.mark.parametrize("model", ["claude", "GPT-4o", "xgpt-4", "", "gpt-4o,claude", "claude,gpt-4o", "!openai"])
    async def test_another_is_refused_and_the_field_named(self, model):
        with pytest.raises(PermissionDeniedError) as caught:
            await rules(models=("gpt-*",)).before_request(sample_view(), sample_request(model))
        assert (caught.value.param, caught.value.code, caught.value.http_status) == ("model", "model_not_allowed", 403)

    async def test_an_empty_list_allows_nothing(self):
        with pytest.raises(PermissionDeniedError):
            await rules(models=()).before_request(sample_view(), sample_request())

    async def test_listing_models_asks_for_none(self):
        listing = attrs.evolve(sample_request(""), operation=Operation.MODELS)
        assert await rules(models=("gpt-*",), max_output_tokens=5).before_request(sample_view(), listing) is None


class TestOutputTokens:
    @pytest.mark.parametrize(("asked", "edits"), [(None, {"max_output_tokens": 100}), (50, {}), (100, {})])
    async def test_a_bound_is_set_where_there_is_none(self, asked, edits):
        for over_limit in ("lower", "refuse"):
            stage = rules(max_output_tokens=100, over_limit=over_limit)
            request = sample_request(max_output_tokens=asked)
            answer = await stage.before_request(sample_view(), request)
            assert (answer or request).edits == edits

    async def test_a_higher_one_is_lowered_and_noted(self):
        view = sample_view()
        answer = await rules(max_output_tokens=100).before_request(view, sample_request(max_output_tokens=5000))
        assert answer.edits == {"max_output_tokens": 100}
        assert answer.body == sample_request().body, "the body itself is never rewritten"
        assert view.notes("request-rules") == {"lowered_from": 5000}

    async def test_or_refused(self):
        with pytest.raises(InvalidRequestError, match="at most 100 output tokens are allowed here, not 5000"):
            await rules(max_output_tokens=100, over_limit="refuse").before_request(
                sample_view(), sample_request(max_output_tokens=5000)
            )

    async def test_an_edit_of_an_interceptor_before_it_counts(self):
        request = sample_request(max_output_tokens=5000).edited(max_output_tokens=10)
        assert await rules(max_output_tokens=100).before_request(sample_view(), request) is None


async def test_labels_are_added_and_win():
    request = sample_request(decode=never_decode).labelled(team="mine", app="chat")
    answer = await rules(metadata={"team": "blue", "cost-centre": "42"}).before_request(sample_view(), request)
    assert answer.metadata == {"team": "blue", "app": "chat", "cost-centre": "42"}


class TestCandidates:
    async def test_only_allowed_models_serve(self):
        given = [sample_deployment(name) for name in ("openai/gpt-4o", "groq/llama-3", "openai/o3")]
        by_id = await rules(upstream_models=("openai/*",)).on_route(sample_view(), given)
        by_name = await rules(upstream_models=("llama-*", "o3")).on_route(sample_view(), given)
        assert [one.id for one in by_id] == ["openai/gpt-4o", "openai/o3"]
        assert [one.id for one in by_name] == ["groq/llama-3", "openai/o3"]

    async def test_none_left_is_a_refusal_and_none_there_is_not(self):
        stage = rules(upstream_models=("openai/*",))
        with pytest.raises(PermissionDeniedError):
            await stage.on_route(sample_view(), [sample_deployment("groq/llama-3")])
        assert await stage.on_route(sample_view(), []) == []


class TestConcurrency:
    async def test_a_full_deployment_is_skipped_until_an_attempt_ends(self):
        stage = rules(max_concurrent_attempts=2)
        views = [sample_view() for _ in range(3)]
        attempts = [sample_attempt() for _ in views]
        taken = [await stage.before_attempt(view, attempt) for view, attempt in zip(views, attempts, strict=True)]
        assert taken == [True, True, False]
        assert views[2].notes("request-rules") == {"skipped": 1}
        assert await stage.before_attempt(views[2], sample_attempt(sample_deployment("groq/llama-3")))
        await stage.after_attempt(views[0], attempts[0])
        assert await stage.before_attempt(views[2], sample_attempt(index=1))

    async def test_a_place_is_given_back_once(self):
        stage = rules(max_concurrent_attempts=1)
        exchange = sample_exchange()
        view, attempt = sample_view(exchange), sample_attempt()
        exchange.attempts.append(attempt)
        await stage.before_attempt(view, attempt)
        await stage.after_attempt(view, attempt)
        other = sample_view()
        assert await stage.before_attempt(other, sample_attempt())
        await stage.after_attempt(view, attempt)
        await stage.on_settle(view)
        assert not await stage.before_attempt(sample_view(), sample_attempt()), "the other still has its place"

    async def test_what_an_exchange_still_holds_at_its_end_is_given_back(self):
        stage = rules(max_concurrent_attempts=1)
        exchange = sample_exchange()
        exchange.attempts.append(sample_attempt())
        await stage.before_attempt(sample_view(exchange), exchange.attempts[0])
        await stage.on_settle(sample_view(exchange))
        assert await stage.before_attempt(sample_view(), sample_attempt())


class TestOutput:
    async def test_a_stream_is_counted_and_left_alone(self):
        stage, view = rules(count_output=True), sample_view()
        chunks = [sample_chunk("hello"), sample_chunk(" world"), GatewayChunk(final=True)]
        assert [stage.on_chunk(view, chunk) for chunk in chunks] == chunks
        await stage.on_settle(view)
        assert view.notes("request-rules") == {"output_characters": 11}

    async def test_a_stream_is_cut(self):
        stage, view = rules(max_output_characters=7), sample_view()
        kept = [stage.on_chunk(view, sample_chunk(text)) for text in ("hello", " world", "!")]
        assert [chunk and chunk.text for chunk in kept] == ["hello", " w", None]
        await stage.on_settle(view)
        assert view.notes("request-rules") == {"output_characters": 7, "cut": True}

    async def test_a_whole_answer_is_counted_and_left_alone(self):
        stage, view, response = rules(count_output=True), sample_view(), sample_response("hello")
        assert await stage.after_response(view, response) is response
        assert view.notes("request-rules") == {"output_characters": 5}

    async def test_a_whole_answer_is_cut(self):
        stage, view = rules(max_output_characters=4), sample_view()
        cut = await stage.after_response(view, sample_response("hello"))
        [choice] = json.loads(cut.body)["choices"]
        assert (choice["message"]["content"], choice["finish_reason"]) == ("hell", "length")
        assert cut.chat.text == "hell", "whoever looks next sees what goes down"
        assert cut.outcome.finish_reason is FinishReason.LENGTH
        assert view.notes("request-rules") == {"output_characters": 4, "cut": True}

    async def test_an_error_answer_is_left_alone(self):
        response = sample_response(status=429)
        assert await rules(max_output_characters=1).after_response(sample_view(), response) is response


class TestWorkers:
    """Several processes divide the limit among them."""

    async def opened(self, limit, workers):
        stage = rules(max_concurrent_attempts=limit)
        link = StageLink()
        await stage.open(
            StageContext(
                id="interceptors[0]",
                clock=FakeClock(),
                transport=ScriptedTransport(),
                fetch_secret=link.fetch_secret,
                state=link.state,
                workers=workers,
            )
        )
        return stage

    async def places(self, stage):
        """How many attempts may run at once."""
        taken = 0
        while await stage.before_attempt(sample_view(), attrs.evolve(sample_attempt(), index=taken)):
            taken += 1
        return taken

    @pytest.mark.parametrize(("limit", "workers", "share"), [(4, 1, 4), (4, 2, 2), (5, 2, 2), (2, 2, 1)])
    async def test_each_grants_its_share(self, limit, workers, share):
        assert await self.places(await self.opened(limit, workers)) == share

    async def test_a_limit_below_the_number_of_workers_is_refused(self):
        with pytest.raises(ConfigError, match="attempts: 1 cannot be divided among 2 workers: raise it to 2"):
            await self.opened(1, 2)

    def test_only_a_limit_is_a_promise_that_workers_must_share(self):
        assert rules(max_concurrent_attempts=1).strict_state
        assert not rules(max_output_tokens=1).strict_state
        assert not RequestRules.strict_state
