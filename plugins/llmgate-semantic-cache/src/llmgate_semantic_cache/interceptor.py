"""The interceptor itself, phase by phase."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

import attrs

from llmgate.formats import get_format
from llmgate.spec import (
    Aspect,
    Clock,
    ExchangeView,
    FinishReason,
    GatewayError,
    GatewayRequest,
    GatewayResponse,
    Interceptor,
    InvalidRequestError,
    Operation,
    Refusal,
    StageContext,
    SystemClock,
)

from .config import SemanticCacheConfig
from .embeddings import Embedder
from .questions import Question, read_question
from .shelf import Kept, Shelf

__all__ = ["SemanticCache"]

_PREFIX: Final = "llmgate-semantic-cache-"
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_REQUIRED: Final = "required-tags"
"""The attribute of a caller that says what its deployments must carry."""
_NOT_KEPT: Final = ("no-store", "no-cache")


@attrs.define(eq=False)
class _Ask:
    """What one exchange asks, and what has been gathered for it so far."""

    question: Question
    request: GatewayRequest
    vector: array[float] | None = None
    response: GatewayResponse | None = None
    pieces: list[bytes] = attrs.field(factory=list)
    size: int = 0


class SemanticCache(Interceptor[SemanticCacheConfig]):
    """Gives a whole answer again to a question that means the same.

    Only the last words of the user are compared by meaning. Everything else must be the same, byte for byte but for
    order and blanks in JSON: who asks, model, instructions, conversation, tools, sampling, and headers that lead the
    request. It stands behind ``cache``, which needs no embedding for equal requests.
    """

    name = "semantic-cache"
    config_class = SemanticCacheConfig
    reads = frozenset({Aspect.META, Aspect.REQUEST})

    def __init__(self, config: SemanticCacheConfig) -> None:
        super().__init__(config)
        self._clock: Clock = SystemClock()
        self._embedder: Embedder | None = None
        self._shelf = Shelf(config.max_partitions, config.max_entries, config.max_age)

    async def open(self, context: StageContext) -> None:
        """Get ready; nobody is asked yet."""
        self._clock = context.clock
        self._embedder = Embedder(self.config, context)

    async def aclose(self) -> None:
        """Forget every answer."""
        self._embedder = None
        self._shelf.clear()

    async def before_request(
        self, exchange: ExchangeView, request: GatewayRequest
    ) -> GatewayRequest | GatewayResponse | None:
        """Answer from what has been kept, or remember what to keep.

        Raises:
            InvalidRequestError: the caller's similarity cannot be understood.
        """
        question = self._question(exchange, request)
        if question is None or self._embedder is None:
            return None
        similarity = self._similarity(exchange)
        ask = _Ask(question, request)
        if question.partition in self._shelf:
            ask.vector = await self._embedder.embed(question.text)
        if ask.vector is not None:
            literals = question.literals if self.config.literals else None
            now = self._clock.monotonic()
            found = self._shelf.find(question.partition, ask.vector, literals, similarity, now)
            if found is not None:
                return self._hit(exchange, request, *found)
        notes = exchange.notes(self.name)
        notes["headers"] = {"llmgate-semantic-cache": "MISS"}
        notes["metadata"] = {"status": "miss"}
        notes["verdicts"] = {"cache": "miss"}
        notes.setdefault("asks", {})[id(self)] = ask
        return None

    def on_sent(self, exchange: ExchangeView, data: bytes) -> None:
        """Gather a streamed answer as it goes down, unless it gets too large."""
        ask = self._ask(exchange)
        if ask is None:
            return
        ask.size += len(data)
        if ask.size > self.config.max_entry_size:
            self._drop(exchange)
        else:
            ask.pieces.append(data)

    async def after_response(self, exchange: ExchangeView, response: GatewayResponse) -> GatewayResponse:
        """Remember a whole answer."""
        ask = self._ask(exchange)
        if ask is not None and len(response.body) <= self.config.max_entry_size:
            ask.response = response
        return response

    async def on_settle(self, exchange: ExchangeView) -> None:
        """Keep the answer if it is one to keep."""
        ask = self._ask(exchange)
        self._drop(exchange)
        if ask is None or self._embedder is None or not exchange.attempts:
            return
        if exchange.error is not None or exchange.disconnected or exchange.status != 200:
            return
        body = ask.response.body if ask.response is not None else b"".join(ask.pieces)
        outcome = ask.response.outcome if ask.response is not None else exchange.outcome
        streamed = ask.response is None
        if not body or not self._is_keepable(ask.request.format, body, streamed=streamed):
            return
        vector = ask.vector or await self._embedder.embed(ask.question.text)
        if vector is not None:
            kept = Kept(
                vector=vector,
                literals=ask.question.literals,
                body=body,
                media_type="" if ask.response is None else ask.response.media_type,
                outcome=attrs.evolve(outcome),
                served_by=exchange.attempts[-1].deployment.model,
                stored=self._clock.monotonic(),
            )
            self._shelf.keep(ask.question.partition, kept)

    def _ask(self, exchange: ExchangeView) -> _Ask | None:
        found: _Ask | None = exchange.notes(self.name).get("asks", {}).get(id(self))
        return found

    def _drop(self, exchange: ExchangeView) -> None:
        exchange.notes(self.name).get("asks", {}).pop(id(self), None)

    def _question(self, exchange: ExchangeView, request: GatewayRequest) -> Question | None:
        if request.operation is not Operation.CHAT or request.relay or request.upload or request.bound_by:
            return None
        said = (exchange.control("cache-control") or "").lower()
        if any(word in said for word in _NOT_KEPT) or self._says(exchange, "enabled").lower() in _FALSE:
            return None
        scope = self._scope(exchange)
        if scope is None or request.decode is None:
            return None
        config = self.config
        return read_question(exchange, request, scope, tools=config.tools, longest=config.max_question)

    def _scope(self, exchange: ExchangeView) -> Sequence[str] | None:
        """Who shares answers with the caller; None where nobody can tell."""
        who = exchange.principal
        models = "all" if who.models is None else ",".join(sorted(who.models))
        if who.denied_models:
            models += " but " + ",".join(sorted(who.denied_models))
        # What a caller may use, and whose key it uses, are its own even where it shares.
        own = (models, str(who.attributes.get(_REQUIRED, "")), exchange.caller_key)
        if self.config.scope == "principal":
            if who.kind == "anonymous":
                return ("anonymous", exchange.client_address, *own)
            return ("principal", who.issuer, who.kind, who.id, *own)
        name = self.config.scope.partition(":")[2]
        value = who.attributes.get(name)
        return None if value in (None, "") else ("attribute", who.issuer, name, str(value), *own)

    def _similarity(self, exchange: ExchangeView) -> float:
        """What is near enough for this caller: what it asks for, but never less than the operator allows."""
        text = self._says(exchange, "similarity")
        if not text:
            return self.config.similarity
        try:
            wanted = float(text)
        except ValueError:
            wanted = -1.0
        if not 0 <= wanted <= 1:
            raise InvalidRequestError(
                f"{_PREFIX}similarity must be a number between 0 and 1, not {text[:40]!r}", code="invalid_similarity"
            )
        return max(wanted, self.config.floor)

    def _says(self, exchange: ExchangeView, name: str) -> str:
        return (exchange.control(_PREFIX + name) or "").strip()

    def _is_keepable(self, name: str, body: bytes, *, streamed: bool) -> bool:
        """Whether an answer has come to its own end, and neither refuses nor, where that is not wanted, calls tools."""
        wire_format = get_format(name)
        ends = {FinishReason.STOP, FinishReason.STOP_SEQUENCE}
        if self.config.tools:
            ends.add(FinishReason.TOOL_CALLS)
        try:
            if not streamed:
                choices = wire_format.decode_response(body).choices
                refused = any(isinstance(part, Refusal) for one in choices for part in one.message.parts)
                return not refused and bool(choices) and all(one.finish_reason in ends for one in choices)
            reader = wire_format.stream_reader()
            chunks = reader.decode(body)
            reader.finish()
        except GatewayError:
            return False
        outcome = reader.outcome
        refused = any(choice.refusal for chunk in chunks for choice in chunk.choices)
        reasons = [one.finish_reason for chunk in chunks for one in chunk.choices if one.finish_reason is not None]
        return outcome.error is None and outcome.complete and not refused and bool(reasons) and {*reasons} <= ends

    def _hit(self, exchange: ExchangeView, request: GatewayRequest, kept: Kept, cosine: float) -> GatewayResponse:
        notes = exchange.notes(self.name)
        age = int(self._clock.monotonic() - kept.stored)
        notes["headers"] = {
            "llmgate-semantic-cache": "HIT",
            "llmgate-semantic-cache-similarity": f"{cosine:.4f}",
            "llmgate-model": kept.served_by,
            "age": age,
        }
        notes["verdicts"] = {"cache": "hit"}
        notes["metadata"] = {"status": "hit", "similarity": f"{cosine:.4f}", "age": age, "model": kept.served_by}
        return GatewayResponse(
            format=request.format,
            body=kept.body,
            outcome=attrs.evolve(kept.outcome),
            decode=get_format(request.format).decode_response,
            media_type=kept.media_type,
            streamed=not kept.media_type,
        )
