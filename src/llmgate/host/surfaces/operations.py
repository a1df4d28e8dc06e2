"""What operators and load balancers ask: is it alive, is it ready, who is left out, would this router be accepted."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Route

from llmgate.codecs.jsons import dumps
from llmgate.host.calls import Call
from llmgate.host.endpoints import Endpoint
from llmgate.host.errors import RefusedError
from llmgate.host.objects import read_object
from llmgate.pipeline.record_desk import sees_figures
from llmgate.spec import Operation, PermissionDeniedError, Principal

if TYPE_CHECKING:
    from llmgate.pipeline import Checkup
    from llmgate.telemetry.standing import Standing

__all__ = [
    "DEPLOYMENTS",
    "HEALTH",
    "METRICS",
    "READY",
    "RouterCheck",
    "deployments",
    "described",
    "health",
    "metrics",
    "ready",
    "routes",
]

SURFACE: Final = "operations"
_ROUTER_BYTES: Final = 32 * 1024
_ROUTER: Final = 'one router as a JSON object, for example {"load-balance": {...}}'


def routes() -> Sequence[Route]:
    """The routes of this surface."""
    return [
        Route("/health", HEALTH, name="health"),
        Route("/ready", READY, name="ready"),
        Route("/v1/health/deployments", DEPLOYMENTS, name="deployments"),
        Route("/metrics", METRICS, name="metrics"),
        Route("/validate-router-config", Endpoint(("POST",), RouterCheck().check), name="validate_router_config"),
    ]


async def health(call: Call) -> None:
    """Say that the process is alive; looks at nothing else."""
    await call.reply.whole(200, call.answer_headers(), b'{"status":"ok"}')


async def ready(call: Call) -> None:
    """Say whether requests should be sent here."""
    if call.desk.ready:
        await call.reply.whole(200, call.answer_headers(), b'{"status":"ready"}')
    else:
        await call.reply.whole(503, call.answer_headers(), b'{"status":"not ready"}')


async def deployments(call: Call) -> None:
    """Say of every deployment that has been asked how it does, and how far records are on their way to loggers."""
    async with call.exchange(Operation.MODELS, SURFACE) as exchange:
        checkups = await exchange.health()
        records = (
            _records(await call.desk.pipeline.standing()) if _is_operators(call, exchange.view.principal) else None
        )
    answer = {"object": "list", "data": [described(one) for one in checkups], "records": records}
    await call.reply.whole(200, call.answer_headers(), dumps(answer))


def _is_operators(call: Call, principal: Principal) -> bool:
    """Whether somebody may know how the whole gateway does; where nobody is asked who he is, everybody may."""
    return sees_figures(principal) or all(stage.use == "anonymous" for stage in call.desk.config.auth)


def described(one: Checkup) -> Mapping[str, Any]:
    """A checkup as programs read it."""
    times = {"first_content": one.first_content, "total": one.total}
    return {
        "id": one.id,
        "provider": one.provider_name,
        "model": one.model,
        "instance": one.instance,
        "state": one.state,
        "reason": one.reason,
        "out_since": _date(one.out_since),
        "trial_at": _date(one.trial_at),
        "probe": None if one.probe is None else "passed" if one.probe else "failed",
        "dead": one.dead,
        "requests": one.requests,
        "errors": one.errors,
        "error_rate": None if one.error_rate is None else round(one.error_rate, 4),
        "answers": one.answers,
        **{
            f"{name}_seconds": found and {field: round(getattr(found, field), 4) for field in ("p50", "p95", "p99")}
            for name, found in times.items()
        },
    }


def _records(standing: Standing) -> Mapping[str, Any]:
    """How far records are on their way, as programs read it."""
    down = standing.journal_down
    return {
        "loggers": [
            {
                "id": one.id,
                "waiting": one.waiting,
                "backlog_bytes": one.size,
                "oldest_seconds": None if one.oldest is None else round(one.oldest, 3),
                "failing": one.failing,
                "dropped": one.dropped,
                "failures": one.failed,
            }
            for one in standing.loggers
        ],
        "journal": None if down is None else {"down": down, "failed": standing.journal_failed},
    }


def _date(moment: float | None) -> str | None:
    return None if moment is None else dt.datetime.fromtimestamp(moment, dt.UTC).isoformat(timespec="milliseconds")


async def metrics(call: Call) -> None:
    """Show what has been counted, as Prometheus reads it.

    Raises:
        PermissionDeniedError: to callers who see their own requests alone.
        RefusedError: 404, nothing is counted.
    """
    async with call.exchange(Operation.MODELS, SURFACE) as exchange:
        if not _is_operators(call, exchange.view.principal):
            raise PermissionDeniedError(
                "metrics tell what everybody has done, and this key sees its own requests alone: the operator can give "
                "it the scope `metrics`",
                code="metrics_not_allowed",
            )
        telemetry = exchange.snapshot.telemetry
        if telemetry is None or telemetry.metrics is None:
            raise RefusedError(
                404, "metrics are not counted: write telemetry: {prometheus: true}", code="metrics_not_counted"
            )
        await telemetry.collect()
        shown = await asyncio.to_thread(telemetry.metrics.exposition)
    kind = [(b"content-type", telemetry.metrics.content_type.encode("ascii"))]
    await call.reply.whole(200, call.answer_headers(kind), shown)


class RouterCheck:
    """Says whether a router's configuration, sent as JSON, would be accepted; nothing is changed by it."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def check(self, call: Call) -> None:
        """Look at one, beside the requests; one after the other, since that can take a moment."""
        async with call.exchange(Operation.MODELS, SURFACE):
            with call:
                router = await read_object(call, _ROUTER, most=_ROUTER_BYTES)
                async with self._turn:
                    problems = await asyncio.to_thread(call.desk.pipeline.validate_router, router)
                answer = {"valid": not problems, "error": "\n".join(problems) or None}
                await call.reply.whole(200, call.answer_headers(), dumps(answer))


HEALTH: Final = Endpoint(("GET", "HEAD"), health, guarded=False, always=True)
READY: Final = Endpoint(("GET", "HEAD"), ready, guarded=False, always=True)
DEPLOYMENTS: Final = Endpoint(("GET", "HEAD"), deployments, always=True)
METRICS: Final = Endpoint(("GET", "HEAD"), metrics, always=True)
