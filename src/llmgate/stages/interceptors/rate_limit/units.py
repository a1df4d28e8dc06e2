"""What limits count: each unit says what a request is charged before its answer, and what after it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final

import attrs

from llmgate.spec import Attempt, Deployment, ExchangeView, GatewayError, GatewayRequest, Operation, Usage

__all__ = ["CENTS", "UNITS", "Ended", "Unit"]

_BYTES_A_TOKEN: Final = 4
_PICO_A_CENT: Final = 10**10
_NANO_A_CENT: Final = 10**7
_TOO_MANY: Final = 429
_CHAT: Final = Operation.CHAT


@attrs.define(eq=False)  # not frozen: each request makes one
class Ended:
    """How what was charged has ended: a whole exchange, or one of its attempts.

    Args:
        attempts: The attempts that it took.
        usage: Tells that of the answer, for where the attempts do not tell.
        error: What it failed with, None where it did not.
        disconnected: Whether its caller left.
    """

    attempts: Sequence[Attempt]
    usage: Callable[[], Usage | None] = lambda: None
    error: GatewayError | None = None
    disconnected: bool = False

    @classmethod
    def of(cls, view: ExchangeView) -> Ended:
        """How an exchange has ended."""
        return cls(view.attempts, lambda: view.outcome.usage, view.error, view.disconnected)

    @classmethod
    def of_attempt(cls, attempt: Attempt) -> Ended:
        """How an attempt has ended."""
        return cls((attempt,), error=attempt.error, disconnected=attempt.abandoned)

    @property
    def may_have_worked(self) -> bool:
        """Whether a provider may have done work that it has not told: an answer, or one that was lost."""
        return any(
            one.error is None or one.first_content is not None or getattr(one.error, "lost", False)
            for one in self.attempts
        )


class Unit(ABC):
    """Something that a request takes of a limit."""

    subject: ClassVar[str | None] = None
    """What vendors' headers call it; None where they have no word for it."""

    reads_body: ClassVar[bool] = True
    """Whether the body of a request may be needed."""

    always: ClassVar[float | None] = None
    """What every request is charged; None where that depends on it."""

    @abstractmethod
    def estimate(self, request: GatewayRequest, assumed_output: int) -> float:
        """What a request is charged before it is answered.

        Args:
            request: What is asked.
            assumed_output: Output tokens of a request that sets no bound.
        """

    @abstractmethod
    def used(self, ended: Ended, charged: float) -> float:
        """What it is charged once it is over; ``charged`` stands where nobody knows."""


class _Requests(Unit):
    """Requests; one that came to no provider has used nothing, nor one that failed by no fault of its own."""

    subject = "requests"
    reads_body = False
    always = 1.0

    def estimate(self, _request: GatewayRequest, _assumed_output: int) -> float:
        return 1.0

    def used(self, ended: Ended, charged: float) -> float:
        if ended.disconnected or ended.error is None:
            return charged if ended.attempts else 0.0
        status = ended.error.http_status
        failed = status >= 500 or status == _TOO_MANY
        return 0.0 if failed and not ended.may_have_worked else charged


class _Concurrent(Unit):
    """Requests that are under way: places, of which each takes one."""

    reads_body = False
    always = 1.0

    def estimate(self, _request: GatewayRequest, _assumed_output: int) -> float:
        return 1.0

    def used(self, _ended: Ended, _charged: float) -> float:
        return 0.0


class _Tokens(Unit):
    """Tokens of the input, of the output, or of both.

    What providers say they have used counts, that of attempts given up included. A request that no provider has
    answered has used nothing.
    """

    def __init__(self, subject: str, *, given: bool, wanted: bool) -> None:
        vars(self)["subject"] = subject
        self._given = given
        self._wanted = wanted

    def estimate(self, request: GatewayRequest, assumed_output: int) -> float:
        given = -(-len(request.body) // _BYTES_A_TOKEN) if self._given else 0
        if not self._wanted or request.operation is not _CHAT or request.decode is None:
            return given
        bound = request.output_bound
        return given + (assumed_output if bound.tokens is None else bound.tokens) * bound.answers

    def used(self, ended: Ended, charged: float) -> float:
        if len(ended.attempts) == 1 and (only := ended.attempts[0].outcome.usage) is not None:
            count = self._count(only)
            if count is not None:
                return float(count)
        usages = [one.outcome.usage for one in ended.attempts if one.outcome.usage is not None]
        if not usages and ended.attempts:
            told = ended.usage()
            usages = [] if told is None else [told]
        counts = [found for one in usages if (found := self._count(one)) is not None]
        if counts:
            return float(sum(counts))
        left = ended.disconnected and ended.attempts
        return charged if left or ended.may_have_worked else 0.0

    def _count(self, usage: Usage) -> int | None:
        given = usage.input_tokens if self._given else None
        wanted = usage.output_tokens if self._wanted else None
        if given is None or wanted is None:
            return wanted if given is None else given
        return given + wanted


class _Cents(_Tokens):
    """Money, in hundredths of a USD: what each attempt costs at its deployment."""

    def __init__(self) -> None:
        super().__init__("cents", given=True, wanted=True)
        vars(self)["subject"] = None  # vendors have no header for it

    def estimate(self, _request: GatewayRequest, _assumed_output: int) -> float:
        return 0.0  # nobody knows before it is known where the request goes

    def priced(self, request: GatewayRequest, assumed_output: int, deployment: Deployment, now: float) -> float | None:
        """What an attempt is charged before it is made; None where its price is not known.

        Args:
            request: What is asked.
            assumed_output: Output tokens of a request that sets no bound.
            deployment: Where it goes.
            now: Seconds since the epoch.
        """
        price = deployment.price
        row = None if price is None else price.row(now)
        if row is None:
            return None
        given = -(-len(request.body) // _BYTES_A_TOKEN)
        wanted = super().estimate(request, assumed_output) - given
        usage = Usage(input_tokens=given, output_tokens=int(wanted), images=1, audio_seconds=60.0, search_units=1)
        pico = row.rates_for(given).of(usage)
        return None if pico is None else float(pico / _PICO_A_CENT)

    def used(self, ended: Ended, charged: float) -> float:
        costs = [None if one.cost_estimated else one.cost_nano for one in ended.attempts]  # none is a reason to repay
        known = [cost for cost in costs if cost is not None]
        if len(known) == len(costs):
            return sum(known) / _NANO_A_CENT
        return charged if ended.disconnected or ended.may_have_worked else 0.0


CENTS: Final = _Cents()
"""The unit of money, which is charged by the attempt."""

UNITS: Final[Mapping[str, Unit]] = {
    "requests": _Requests(),
    "concurrent": _Concurrent(),
    "tokens": _Tokens("tokens", given=True, wanted=True),
    "input-tokens": _Tokens("input-tokens", given=True, wanted=False),
    "output-tokens": _Tokens("output-tokens", given=False, wanted=True),
    "cents": CENTS,
}
"""Each unit by the word of the configuration."""
