"""What every interceptor promises."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from llmgate.spec import (
    Aspect,
    ChatRequest,
    ExchangeView,
    GatewayChunk,
    GatewayError,
    GatewayRequest,
    GatewayResponse,
    StageContext,
)
from llmgate.testing.samples import (
    sample_attempt,
    sample_chunk,
    sample_deployment,
    sample_exchange,
    sample_request,
    sample_response,
)

from .base import StageConformance

__all__ = ["InterceptorConformance"]


class InterceptorConformance(StageConformance):
    """Interceptors.

    Attributes:
        lets_through: Whether the stage, as configured, lets the kit's plain request through.
    """

    kind = "interceptors"
    lets_through: ClassVar[bool] = True

    def make_request(self, **fields: Any) -> GatewayRequest:
        """The kit's plain request."""
        return sample_request(**fields)

    def make_response(self) -> GatewayResponse:
        """The kit's plain answer."""
        return sample_response()

    async def walk(self, stage: Any) -> ExchangeView:
        """Take one exchange through every phase, as the pipeline does; a refusal goes straight to the end."""
        exchange = sample_exchange(self.make_request())
        view = ExchangeView(exchange)
        try:
            answer = await stage.before_request(view, exchange.request)
            if isinstance(answer, GatewayRequest):
                exchange.request = answer
            if not isinstance(answer, GatewayResponse):
                candidates = await stage.on_route(view, (sample_deployment(),))
                for index, deployment in enumerate(candidates):
                    attempt = sample_attempt(deployment, index=index)
                    if await stage.before_attempt(view, attempt):
                        exchange.attempts.append(attempt)
                        stage.on_chunk(view, sample_chunk())
                        await stage.after_attempt(view, attempt)
            await stage.after_response(view, self.make_response())
        except GatewayError as error:
            exchange.error = error
        await stage.on_settle(view)
        return view

    def test_says_what_it_reads_and_writes(self) -> None:
        """``reads`` and ``writes`` are sets of aspects."""
        stage = self.make_stage()
        for aspects in (stage.reads, stage.writes):
            assert isinstance(aspects, frozenset)
            assert all(isinstance(aspect, Aspect) for aspect in aspects)

    @pytest.mark.asyncio
    async def test_every_phase_runs(self, context: StageContext) -> None:
        """A plain exchange passes every phase."""
        async with self.opened(context) as stage:
            view = await self.walk(stage)
            if self.lets_through:
                assert view.error is None, f"the plain request was refused: {view.error}"

    @pytest.mark.asyncio
    async def test_a_request_is_answered_in_one_of_three_ways(self, context: StageContext) -> None:
        """``before_request`` returns None, a request or a response, or raises a ``GatewayError``."""
        async with self.opened(context) as stage:
            request = self.make_request()
            view = ExchangeView(sample_exchange(request))
            answer: Any
            try:
                answer = await stage.before_request(view, request)
            except GatewayError:
                answer = None
            assert answer is None or isinstance(answer, GatewayRequest | GatewayResponse)
            await stage.on_settle(view)

    @pytest.mark.asyncio
    async def test_reads_no_body_unless_it_says_so(self, context: StageContext) -> None:
        """Without ``Aspect.REQUEST`` in ``reads`` no request is decoded; without it in ``writes``, none is edited."""
        decoded: list[bytes] = []
        plain = self.make_request().chat

        def decode(body: bytes) -> ChatRequest:
            decoded.append(body)
            return plain

        async with self.opened(context) as stage:
            request = self.make_request(decode=decode)
            view = ExchangeView(sample_exchange(request))
            try:
                answer = await stage.before_request(view, request)
            except GatewayError:
                answer = None
            await stage.on_settle(view)
            if Aspect.REQUEST not in stage.reads:
                assert not decoded, "add Aspect.REQUEST to `reads`, or leave the body alone"
            if Aspect.REQUEST not in stage.writes and isinstance(answer, GatewayRequest):
                assert (answer.body, answer.edits) == (request.body, request.edits), "add Aspect.REQUEST to `writes`"

    @pytest.mark.asyncio
    async def test_candidates_are_narrowed_or_reordered_only(self, context: StageContext) -> None:
        """``on_route`` adds nothing, repeats nothing, and leaves the caller's list alone."""
        async with self.opened(context) as stage:
            given = [sample_deployment(), sample_deployment("anthropic/claude"), sample_deployment("groq/llama")]
            before = list(given)
            view = ExchangeView(sample_exchange(self.make_request()))
            for candidates in (given, []):
                try:
                    kept = [one.id for one in await stage.on_route(view, candidates)]
                except GatewayError:
                    continue
                assert len(set(kept)) == len(kept)
                assert set(kept) <= {one.id for one in candidates}
            assert given == before
            await stage.on_settle(view)

    @pytest.mark.asyncio
    async def test_chunks_are_left_alone_unless_it_says_so(self, context: StageContext) -> None:
        """Without ``Aspect.STREAM`` in ``writes`` a chunk comes back as the same object."""
        async with self.opened(context) as stage:
            view = ExchangeView(sample_exchange(self.make_request()))
            chunks = [
                sample_chunk(),
                sample_chunk(""),
                GatewayChunk(),
                GatewayChunk(final=True, raw=b"data: [DONE]\n\n"),
            ]
            for chunk in chunks:
                kept = stage.on_chunk(view, chunk)
                assert kept is None or isinstance(kept, GatewayChunk)
                if Aspect.STREAM not in stage.writes:
                    assert kept is chunk, "add Aspect.STREAM to `writes`, or return the chunk as it came"
            await stage.on_settle(view)

    @pytest.mark.asyncio
    async def test_what_is_reserved_is_given_back(self, context: StageContext) -> None:
        """A hundred exchanges one after the other find the stage as the first did."""
        async with self.opened(context) as stage:
            first = await self.walk(stage)
            errors = {(await self.walk(stage)).error is None for _ in range(100)}
            if first.error is None and self.lets_through:
                assert errors == {True}, "give back in after_attempt or on_settle what before_attempt has taken"

    @pytest.mark.asyncio
    async def test_a_caller_may_leave_at_any_time(self, context: StageContext) -> None:
        """``on_settle`` alone cleans up after an exchange that was cut off in the middle of an attempt."""
        async with self.opened(context) as stage:
            for _ in range(100):
                exchange = sample_exchange(self.make_request(), disconnected=True)
                view = ExchangeView(exchange)
                attempt = sample_attempt(abandoned=True)
                try:
                    await stage.before_request(view, exchange.request)
                    if await stage.before_attempt(view, attempt):
                        exchange.attempts.append(attempt)
                except GatewayError:
                    pass
                await stage.on_settle(view)
            if self.lets_through:
                assert await stage.before_attempt(ExchangeView(sample_exchange()), sample_attempt()), (
                    "give back in on_settle what an exchange still holds"
                )

    @pytest.mark.asyncio
    async def test_exchanges_do_not_mix(self, context: StageContext) -> None:
        """Fifty at once: what belongs to one exchange stays in its notes."""
        async with self.opened(context) as stage:
            views = await asyncio.gather(*(self.walk(stage) for _ in range(50)))
            if self.lets_through:
                assert [view.error for view in views] == [None] * 50
