"""What limits, the cache and routing add to a request: exchanges in one process, over a transport that answers at once.

Run as a program under a counter of instructions (``benchmarks/instructions.py``): ``guards.py CASE COUNT COMMAND...``,
where the command, with ``on`` or ``off`` and the process behind it, switches the counter.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from benchmarks.payloads import ANSWER, KEY, MODEL, request_body
from llmgate import Pipeline
from llmgate.formats import get_format, read_request
from llmgate.spec import Credentials, ProviderRequest, ProviderResponse, ProviderStream

__all__ = ["BODY", "CASES", "Ready", "body", "exchanges", "settings"]

BODY: Final = 2048
"""Bytes of a request."""

_LIMITS: Final = {
    "use": "rate-limit",
    "limits": [
        {"capacity": 1_000_000, "refill-frequency": "1m"},
        {"capacity": 1_000_000_000, "refill-frequency": "1h", "unit": "tokens"},
        {"capacity": 1000, "unit": "concurrent"},
    ],
}
_CACHE: Final = {"use": "cache", "directive": "max-age=0"}
"""Looks for each answer and keeps none, as what is measured is the look."""
_ROUTER: Final = {"load-balance": {"chat": {"strategy": "latency", "providers": ["one", "two", "three"]}}}
_ALONE: Final = {"load-balance": {"chat": {"strategy": "priority", "providers": ["one"]}}}

CASES: Final[Mapping[str, Mapping[str, Any]]] = {
    "plain": {},
    "routing": {"routers": {"main": _ROUTER}},
    "limits": {"interceptors": [_LIMITS]},
    "cache look-up": {"interceptors": [_CACHE]},
    "all": {"interceptors": [_LIMITS, _CACHE], "routers": {"main": _ROUTER}},
}
"""What is switched on in each."""


def settings(case: str, base_url: str) -> dict[str, Any]:
    """The configuration of a case.

    Args:
        case: Which of ``CASES``.
        base_url: Where all three deployments are.
    """
    provider = {"base-url": base_url, "secret": "env:BENCH_API_KEY"}
    providers = dict.fromkeys(("one", "two", "three"), provider)
    return {"providers": providers, "routers": {"main": _ALONE}, "loggers": [], **CASES[case]}


def body(user: str = "") -> bytes:
    """A request of ``BODY`` bytes.

    Args:
        user: Twelve characters at most that tell it from others.
    """
    rest = BODY - len(request_body(model=MODEL, stream=False, user=""))
    return request_body(model=MODEL, stream=False, user=user.ljust(rest, "x"))


class Ready:
    """A transport whose answer is there before it is asked for."""

    async def send(self, request: ProviderRequest) -> ProviderResponse:
        return ProviderResponse(200, {"content-type": "application/json"}, ANSWER)

    async def open_stream(self, request: ProviderRequest) -> ProviderStream:
        raise NotImplementedError

    async def aclose(self) -> None:
        """Nothing is open."""


async def exchanges(case: str, count: int, counting: Callable[[str], object] = str) -> None:
    """Carry out so many, one after another; the cache looks for each and keeps none.

    Args:
        case: Which of ``CASES``.
        count: How many.
        counting: Is told ``on`` after as many again that are not counted, and ``off`` at the end.
    """
    config = settings(case, "https://provider.test/v1")
    credentials = Credentials()
    wire_format = get_format("openai-chat")
    pipeline = Pipeline.from_config(config, environment={"BENCH_API_KEY": KEY}, transport=Ready())
    async with pipeline:
        gc.freeze()  # what the start has left, so that no collection walks over it
        for number in range(2 * count):
            if number == count:
                counting("on")
            data = body(f"{number:012d}")
            async with pipeline.exchange(credentials=credentials) as exchange:
                response = await exchange.send(read_request(wire_format, data, router="main"))
                assert response.status == 200
        counting("off")


if __name__ == "__main__":
    command = sys.argv[3:]
    asyncio.run(
        exchanges(
            sys.argv[1],
            int(sys.argv[2]),
            lambda word: subprocess.run([*command, word, str(os.getpid())], check=True, stdout=subprocess.DEVNULL),
        )
    )
