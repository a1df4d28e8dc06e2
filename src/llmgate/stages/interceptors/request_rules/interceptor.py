"""The interceptor itself, phase by phase."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Sequence
from typing import Any

import attrs

from llmgate.formats import get_format
from llmgate.spec import (
    Aspect,
    Attempt,
    ConfigError,
    Deployment,
    ExchangeView,
    GatewayChunk,
    GatewayRequest,
    GatewayResponse,
    Interceptor,
    InvalidRequestError,
    Operation,
    PermissionDeniedError,
    StageContext,
)

from .config import RequestRulesConfig
from .cutting import StreamCounter, cut_response, response_characters

__all__ = ["RequestRules"]


class RequestRules(Interceptor[RequestRulesConfig]):
    """Holds requests to the operator's rules.

    A rule that is not written costs nothing: ``reads`` and ``writes`` say what the written ones need, so that a body is
    decoded, or a stream looked into, only for a rule that asks for it.

    Its notes on an exchange: ``output_characters`` (with ``count-output`` or ``max-output-characters``), ``cut`` (true
    when text was cut off), ``lowered_from`` (the output tokens that the caller had allowed) and ``skipped`` (how many
    deployments were full).
    """

    name = "request-rules"
    config_class = RequestRulesConfig

    def __init__(self, config: RequestRulesConfig) -> None:
        super().__init__(config)
        self._running: Counter[str] = Counter()
        self._places: dict[tuple[str, int], str] = {}
        self._watches_output = config.count_output or config.max_output_characters is not None
        reads = {Aspect.META}
        writes: set[Aspect] = set()
        if config.max_output_tokens is not None:
            reads.add(Aspect.REQUEST)
            writes.add(Aspect.REQUEST)
        if self._watches_output:
            reads.add(Aspect.STREAM)
        if config.max_output_characters is not None:
            writes.add(Aspect.STREAM)
        # What the class says is the default; an instance answers for its own rules.
        vars(self).update(reads=frozenset(reads), writes=frozenset(writes))
        self.strict_state = config.max_concurrent_attempts is not None
        self._limit = config.max_concurrent_attempts

    async def open(self, context: StageContext) -> None:
        """Take this process's share of the limit.

        Raises:
            ConfigError: there are more workers than places.
        """
        limit = self.config.max_concurrent_attempts
        if limit is not None and limit < context.workers:
            raise ConfigError(
                f"{context.id}: max-concurrent-attempts: {limit} cannot be divided among {context.workers} workers: "
                f"raise it to {context.workers} or more, or serve with fewer workers"
            )
        self._limit = None if limit is None else limit // context.workers

    async def aclose(self) -> None:
        """Forget the attempts that were running."""
        self._running.clear()
        self._places.clear()

    async def before_request(
        self, exchange: ExchangeView, request: GatewayRequest
    ) -> GatewayRequest | GatewayResponse | None:
        """Refuse a model that is not allowed, bound the output tokens, add the labels.

        Raises:
            PermissionDeniedError: the model is not allowed.
            InvalidRequestError: more output tokens are allowed than may be, and the rule is to refuse.
        """
        config = self.config
        if request.operation is not Operation.CHAT:
            return None
        if config.models is not None and not all(_matches(one, config.models) for one in request.models or ("",)):
            raise PermissionDeniedError(
                f"model {request.model!r} is not allowed here; ask for one that the gateway lists",
                code="model_not_allowed",
                param="model",
            )
        changed = self._bounded(exchange, request)
        if config.metadata:
            changed = changed.labelled(**config.metadata)
        return None if changed is request else changed

    async def on_route(self, exchange: ExchangeView, deployments: Sequence[Deployment]) -> Sequence[Deployment]:
        """Leave out deployments whose model is not allowed.

        Raises:
            PermissionDeniedError: there were some, and none is left.
        """
        patterns = self.config.upstream_models
        if patterns is None:
            return deployments
        allowed = [one for one in deployments if _matches(one.id, patterns) or _matches(one.model, patterns)]
        if deployments and not allowed:
            raise PermissionDeniedError(
                f"no model that may serve {exchange.request.model!r} is allowed here; ask for another one",
                code="model_not_allowed",
                param="model",
            )
        return allowed

    async def before_attempt(self, exchange: ExchangeView, attempt: Attempt) -> bool:
        """Take a place at the deployment; False when it is full."""
        limit = self._limit
        if limit is None:
            return True
        deployment = attempt.deployment.id
        if self._running[deployment] >= limit:
            notes = exchange.notes(self.name)
            notes["skipped"] = notes.get("skipped", 0) + 1
            return False
        self._running[deployment] += 1
        self._places[exchange.id, attempt.index] = deployment
        return True

    async def after_attempt(self, exchange: ExchangeView, attempt: Attempt) -> None:
        """Give the place back."""
        self._release((exchange.id, attempt.index))

    def on_chunk(self, exchange: ExchangeView, chunk: GatewayChunk) -> GatewayChunk | None:
        """Count the text of a streamed answer, and cut it where it gets too long."""
        if not self._watches_output or not chunk.choices:
            return chunk
        notes = exchange.notes(self.name)
        counter = notes.get("counter")
        if counter is None:
            counter = notes["counter"] = StreamCounter(self.config.max_output_characters)
        kept: GatewayChunk | None = counter.take(chunk)
        notes["output_characters"] = counter.total
        if kept is not chunk:
            notes["cut"] = True
        return kept

    async def after_response(self, exchange: ExchangeView, response: GatewayResponse) -> GatewayResponse:
        """Count the text of a whole answer, and cut it where it is too long."""
        if not self._watches_output or response.decode is None or response.status >= 300:
            return response
        limit = self.config.max_output_characters
        chat = response.chat
        cut = None if limit is None else cut_response(chat, limit)
        notes = exchange.notes(self.name)
        notes["output_characters"] = response_characters(cut or chat)
        if cut is None:
            return response
        notes["cut"] = True
        return attrs.evolve(
            response,
            body=get_format(response.format).encode_response(cut),
            outcome=attrs.evolve(response.outcome, finish_reason=cut.finish_reason),
            decode=lambda _: cut,
        )

    async def on_settle(self, exchange: ExchangeView) -> None:
        """Give back every place that is still held, and leave only plain values in the notes."""
        if self.config.max_concurrent_attempts is not None:
            for attempt in exchange.attempts:
                self._release((exchange.id, attempt.index))
        if self._watches_output:
            exchange.notes(self.name).pop("counter", None)

    def _bounded(self, exchange: ExchangeView, request: GatewayRequest) -> GatewayRequest:
        limit = self.config.max_output_tokens
        if limit is None:
            return request
        asked = request.chat.max_output_tokens
        if asked is not None and asked <= limit:
            return request
        if asked is not None and self.config.over_limit == "refuse":
            raise InvalidRequestError(
                f"at most {limit} output tokens are allowed here, not {asked}; ask for fewer",
                code="too_many_output_tokens",
                param="max_tokens",
            )
        if asked is not None:
            exchange.notes(self.name)["lowered_from"] = asked
        return request.edited(max_output_tokens=limit)

    def _release(self, place: tuple[str, int]) -> None:
        deployment = self._places.pop(place, None)
        if deployment is None:
            return
        self._running[deployment] -= 1
        if self._running[deployment] <= 0:
            del self._running[deployment]


def _matches(text: str, patterns: Sequence[Any]) -> bool:
    """Whether any pattern matches, upper and lower case told apart."""
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)
