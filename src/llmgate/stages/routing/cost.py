"""Deployments by what a request will cost there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import attrs

from llmgate.spec import Deployment, ExchangeView, Operation, RoutingContext, RoutingStrategy, Usage

__all__ = ["Cost", "CostConfig"]

_BYTES_A_TOKEN: Final = 4
_WRITTEN: Final = frozenset({Operation.CHAT, Operation.TEXT_COMPLETION})
"""What is answered with a text whose length is the model's to choose."""


@attrs.frozen
class CostConfig:
    """The config of ``cost``.

    Args:
        expected_output: Output tokens that a request is taken to need, since nobody knows before it is answered.
    """

    expected_output: int = attrs.field(default=500, metadata={"minimum": 0, "maximum": 10_000_000})


class Cost(RoutingStrategy[CostConfig]):
    """Sends each request where it will cost least; the others follow by cost, for failover.

    What it will cost is reckoned with the size of the request and the expected output, at the prices of now, so that a
    model with cheap input and dear output is chosen for long documents, and rates for long inputs count. Deployments
    whose price is not known stand behind those whose price is, and deployments whose context window is too small for
    the request behind all others; equally dear ones stay in written order. It also orders the models that a request
    names itself.
    """

    name = "cost"
    config_class = CostConfig
    orders_models = True

    def rank(
        self, view: ExchangeView, deployments: Sequence[Deployment], context: RoutingContext
    ) -> Sequence[Deployment]:
        """The deployments by expected cost."""
        del context
        if len(deployments) < 2:
            return tuple(deployments)
        given = -(-len(view.request.body) // _BYTES_A_TOKEN)
        usage, at = self._usage(view.request.operation, given), view.started_at
        ranked = sorted(
            (_is_too_small(one, given), _expected(one, usage, at), position) for position, one in enumerate(deployments)
        )
        return tuple(deployments[position] for _, _, position in ranked)

    def _usage(self, operation: Operation, given: int) -> Usage:
        """What a request is taken to need: of what is not billed by the token one piece, which compares as well."""
        if operation in _WRITTEN:
            return Usage(input_tokens=given, output_tokens=self.config.expected_output)
        return Usage(input_tokens=given, output_tokens=0, images=1, audio_seconds=60.0, search_units=1)


def _expected(deployment: Deployment, usage: Usage, at: float) -> float:
    """What a usage costs at a deployment, in pico-USD; infinite where that is not known."""
    price = deployment.price
    row = None if price is None else price.row(at)
    pico = None if row is None else row.rates_for(usage.input_tokens).of(usage)
    return math.inf if pico is None else float(pico)


def _is_too_small(deployment: Deployment, given: int) -> bool:
    window = deployment.facts.context_window
    return window is not None and given > window
