"""The record of an exchange, made once when it is over: what everybody downstream knows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmgate.spec import (
    Attempt,
    AttemptRecord,
    AuthenticationError,
    Exchange,
    GatewayError,
    Principal,
    ProviderError,
    Record,
    StageTrace,
)

from .costs import is_pending
from .labels import MAX_PROPERTIES, bounded, labels_of

__all__ = ["make_record"]

_MAX_MESSAGE: Final = 4096
"""Characters of the words of an error."""
_MAX_LABELS: Final = 128
"""Labels that one record keeps."""


def make_record(exchange: Exchange) -> Record:
    """The frozen account of a finished exchange."""
    outcome = exchange.outcome
    request = exchange.request
    error = exchange.error
    last = exchange.attempts[-1] if exchange.attempts else None
    started = exchange.started
    principal = exchange.principal
    labels = labels_of(exchange.client_headers) if exchange.client_headers else {}
    return Record(
        id=exchange.id,
        operation=exchange.operation.value,
        surface=exchange.surface,
        started_at=exchange.started_at,
        duration=(exchange.finished or started) - started,
        first_content=None if exchange.first_content is None else exchange.first_content - started,
        outcome=_outcome_word(exchange),
        status=exchange.status,
        error_code=error.code if error else None,
        error_message=bounded(_reason(error), _MAX_MESSAGE) if error else None,
        principal=bounded(principal.id) if principal else None,
        principal_issuer=principal.issuer if principal else None,
        client_address=exchange.client_address,
        client_request_id=exchange.client_request_id,
        router=exchange.router,
        request_model=bounded(request.model) if request else None,
        stream=request.stream if request else False,
        provider_name=last.deployment.provider_name if last and last.error is None else None,
        response_model=bounded(outcome.model) if outcome.model else outcome.model,
        response_id=bounded(outcome.response_id) if outcome.response_id else outcome.response_id,
        finish_reason=outcome.finish_reason.value if outcome.finish_reason else None,
        usage=(last.estimated_usage if last else None) or outcome.usage,
        attempts=tuple(_attempt_record(attempt, started) for attempt in exchange.attempts),
        trace=exchange.trace,
        metadata=_metadata(exchange, last, labels),
        cost_nano=exchange.cost_nano,
        cache=exchange.noted_verdict("cache"),
        limit=exchange.noted_verdict("limit"),
        key_id=_key_id(principal) if principal else None,
        team=_team(principal) if principal else None,
        content=exchange.content,
        stages=() if exchange.steps is None else _stages(exchange),
        user=labels.get("user") or (bounded(request.user) if request and request.user else None),
        properties=labels.get("properties", {}),
        session_id=labels.get("session_id"),
        session_path=labels.get("session_path"),
        session_name=labels.get("session_name"),
        prompt_id=labels.get("prompt_id"),
        user_agent=labels.get("user_agent"),
    )


def _stages(exchange: Exchange) -> Sequence[StageTrace]:
    """The steps that were measured, and the attempts, which always are."""
    tries = [
        StageTrace(
            f"attempt {attempt.deployment.id}",
            attempt.error.code if attempt.error is not None else "abandoned" if attempt.abandoned else "answered",
            round(((attempt.finished or exchange.finished or attempt.started) - attempt.started) * 1e6),
        )
        for attempt in exchange.attempts
    ]
    return (*(exchange.steps or ()), *tries)


def _metadata(exchange: Exchange, last: Attempt | None, labels: Mapping[str, Any]) -> Mapping[str, str]:
    """Labels of stages and of the caller, bounded in number and length."""
    request = exchange.request
    found = {**_lost(last), **exchange.noted_metadata(), **(request.metadata if request else {})}
    marks: dict[str, str] = {} if last is None or not is_pending(last) else {"llmgate.mapping": "pending"}
    if len(found) > _MAX_LABELS:
        marks["llmgate.dropped-labels"] = str(len(found) - _MAX_LABELS)
        found = dict(list(found.items())[:_MAX_LABELS])
    if "properties" in labels:
        more = sum(name.startswith("helicone-property-") for name in exchange.client_headers) - MAX_PROPERTIES
        if more > 0:
            marks["llmgate.dropped-properties"] = str(more)
    return {bounded(str(name)): bounded(str(value)) for name, value in {**found, **marks}.items()}


def _key_id(principal: Principal) -> str | None:
    """The public name of the key that the caller came with: the issued one, or the principal that a key is."""
    key = principal.attributes.get("key")
    if isinstance(key, str) and key:
        return bounded(key)
    return bounded(principal.id) if principal.kind == "key" else None


def _team(principal: Principal) -> str | None:
    team = principal.attributes.get("team")
    return bounded(team) if isinstance(team, str) and team else None


def _lost(last: Attempt | None) -> dict[str, str]:
    """What the translation for the provider left out."""
    return {"llmgate.dropped-params": ", ".join(last.dropped_params)} if last and last.dropped_params else {}


def _outcome_word(exchange: Exchange) -> str:
    if exchange.disconnected:
        return "disconnected" if exchange.drained else "cancelled"
    if exchange.error is None:
        return "ok" if exchange.status is None or exchange.status < 400 else "error"
    return "incomplete" if exchange.first_content is not None else "error"


def _reason(error: GatewayError) -> str:
    return error.reason if isinstance(error, AuthenticationError) else error.message


def _attempt_record(attempt: Attempt, origin: float) -> AttemptRecord:
    return AttemptRecord(
        deployment=attempt.deployment.id,
        provider_name=attempt.deployment.provider_name,
        model=attempt.deployment.model,
        started=attempt.started - origin,
        duration=None if attempt.finished is None else attempt.finished - attempt.started,
        first_content=None if attempt.first_content is None else attempt.first_content - origin,
        status=attempt.status,
        error_code=attempt.error.code if attempt.error else None,
        error_message=bounded(attempt.error.message, _MAX_MESSAGE) if attempt.error else None,
        usage=attempt.estimated_usage or attempt.outcome.usage,
        provider_request_id=bounded(attempt.provider_request_id) if attempt.provider_request_id else None,
        credential_ref=attempt.credential_ref,
        credential_version=attempt.credential_version,
        credential_fingerprint=attempt.credential_fingerprint,
        abandoned=attempt.abandoned,
        lost=isinstance(attempt.error, ProviderError) and attempt.error.lost,
        cost_nano=attempt.cost_nano,
        service_tier=attempt.outcome.service_tier,
        vendor=attempt.deployment.provider.row.name,
        span_id=attempt.span_id,
        cost_estimated=attempt.cost_estimated,
    )
