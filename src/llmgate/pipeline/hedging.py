"""A second attempt beside one that takes long: the first content wins, the other one is cancelled and recorded.

The rule is that of Dean and Barroso, "The Tail at Scale" (2013): the second request is sent after a delay that most
answers stay below, so that it costs little and cuts off the longest waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Generic, TypeVar

from llmgate.spec import Attempt, Deployment, GatewayError

from .attempt import Try
from .walk import Walk

__all__ = ["through_hedged"]

log = logging.getLogger("llmgate.dispatch")

T = TypeVar("T")


async def through_hedged(
    walk: Walk, ranked: Sequence[Deployment], run: Callable[[Try], Awaitable[T]], after: float
) -> T | None:
    """Try the deployments in order; where there is no content after a while, the next one beside the one that is asked.

    Both go on to further deployments when they fail, and never to the same. The second one is paid for from the retry
    budget; where that is spent there is none, nor where there is nobody else or sending twice could do harm.

    Args:
        walk: The way over the deployments.
        ranked: Deployments in order of trial.
        run: Makes one try.
        after: Seconds until the second attempt.

    Returns:
        The first answer; None when every one failed in a way that another might not have.

    Raises:
        GatewayError: a failure that no other deployment would spare the caller.
    """
    if not _may_be_sent_twice(walk) or all(one.id == ranked[0].id for one in ranked):
        return await walk.through(ranked, run)
    left = iter(ranked)
    lanes = [_Lane(walk, left, run)]
    timer = asyncio.ensure_future(walk.frame.clock.sleep(after))
    try:
        await asyncio.wait({lanes[0].task, timer}, return_when=asyncio.FIRST_COMPLETED)
        attempt = lanes[0].attempt
        if not lanes[0].task.done() and attempt is not None and walk.pays_beside(attempt.deployment):
            log.info("%s: %s takes long, another one is asked beside it", walk.frame.id, attempt.deployment.id)
            lanes.append(_Lane(walk, left, run, beside=True))
        while waiting := {one.task for one in lanes if not one.task.done()}:
            if any(one.has_answered for one in lanes):
                break
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        winner = next((one for one in lanes if one.has_answered), None)
    finally:
        timer.cancel()
        for one in lanes:
            one.task.cancel()
        await asyncio.wait({one.task for one in lanes})
    if winner is None:
        failures = [error for one in lanes if isinstance(error := one.task.exception(), BaseException)]
        if failures:
            raise failures[0]
        return None
    for loser in lanes:
        if loser is not winner:
            await loser.give_up()
    winner.come_last()
    return winner.task.result()


def _may_be_sent_twice(walk: Walk) -> bool:
    request = walk.request
    return request.relay is None and request.upload is None and walk.candidates.route.resend_unknown


class _Lane(Generic[T]):
    """One of two ways over the same deployments.

    Args:
        walk: What both share.
        left: The deployments that neither has tried.
        run: Makes one try.
        beside: Whether it is the second.
    """

    def __init__(
        self, walk: Walk, left: Iterator[Deployment], run: Callable[[Try], Awaitable[T]], *, beside: bool = False
    ) -> None:
        self.attempt: Attempt | None = None
        self._walk = walk
        self._run = run
        self.task: asyncio.Task[T | None] = asyncio.ensure_future(walk.through(left, self._noted, beside=beside))

    @property
    def has_answered(self) -> bool:
        """Whether it has come to an answer."""
        task = self.task
        return task.done() and not task.cancelled() and task.exception() is None and task.result() is not None

    async def _noted(self, tried: Try) -> T:
        self.attempt = tried.attempt
        return await self._run(tried)

    async def give_up(self) -> None:
        """Close the account of what it was at when the other one answered."""
        if self.has_answered and (close := getattr(self.task.result(), "aclose", None)) is not None:
            await close()
        elif self.task.done() and not self.task.cancelled() and isinstance(self.task.exception(), GatewayError):
            return  # its attempt has ended by itself
        if self.attempt is not None and self.attempt.finished is None:
            self.attempt.abandoned = True
            await self._walk.frame.end_attempt(self.attempt, None)

    def come_last(self) -> None:
        """Put its attempt behind the other's: the last one is the one that answers."""
        attempts = self._walk.frame.exchange.attempts
        if self.attempt is not None and attempts[-1] is not self.attempt:
            attempts.remove(self.attempt)
            attempts.append(self.attempt)
