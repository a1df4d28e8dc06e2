"""Which deployments are left out for a while: those that fail too often, and those that limit the gateway now.

The rule is that of a circuit breaker with a sliding window (Nygard, "Release It!", 2007): out by the share of errors,
back by a trial request that is answered or by a window without a further failure. No timer runs and nothing is held:
what has passed is found out when somebody looks.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Final, TypeAlias

import attrs

from llmgate.config.model import HealthConfig
from llmgate.spec import (
    Attempt,
    Deployment,
    GatewayError,
    ProviderAuthenticationError,
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimitError,
    SecretRef,
)

__all__ = ["Health", "is_a_failure"]

log = logging.getLogger("llmgate.health")

MOST: Final = 10_000
"""Deployments remembered; beyond it the one that was used longest ago is forgotten."""

_TIMED_OUT: Final = 408
_TOO_MANY: Final = 429

_Key: TypeAlias = "tuple[str, str, SecretRef | None]"


class _Window:
    """Requests and errors of the last seconds, in parts; the oldest part falls out as a whole.

    Args:
        parts: How many parts it has.
    """

    __slots__ = ("_errors", "_requests", "_slot", "errors", "requests")

    def __init__(self, parts: int) -> None:
        self._requests = [0] * parts
        self._errors = [0] * parts
        self._slot = 0
        self.requests = 0
        self.errors = 0

    def add(self, slot: int, *, failed: bool) -> None:
        """Count a request.

        Args:
            slot: The part of all time that it belongs to, counted from the beginning of the clock.
            failed: Whether it failed.
        """
        parts = len(self._requests)
        for passed in range(max(self._slot + 1, slot - parts + 1), slot + 1):
            place = passed % parts
            self.requests -= self._requests[place]
            self.errors -= self._errors[place]
            self._requests[place] = self._errors[place] = 0
        self._slot = max(self._slot, slot)
        place = self._slot % parts
        self._requests[place] += 1
        self._errors[place] += failed
        self.requests += 1
        self.errors += failed


@attrs.define
class _Out:
    """A deployment that is left out; times are monotonic seconds.

    Args:
        since: From when on.
        until: When it is back without any proof.
        trial: When one request may try it.
        seen: The latest word of the provider that it rests on: what began before says nothing against it.
    """

    since: float
    until: float
    trial: float
    seen: float


class Health:
    """Counts what becomes of attempts and puts in the last place those deployments that are not to be asked now.

    Args:
        config: How health is judged.
    """

    def __init__(self, config: HealthConfig) -> None:
        self.config = config
        self._windows: dict[_Key, _Window] = {}
        self._out: dict[_Key, _Out] = {}

    def arranged(self, ranked: Sequence[Deployment], now: float) -> Sequence[Deployment]:
        """Ranked deployments with those that are left out behind the others, as a last resort.

        The first of them all, where it is due for a trial, stays first: that is its trial, and for the length of the
        interval there is no other. Where every one is left out, they stay as they are: bad is better than none.

        Args:
            ranked: Deployments in order of trial.
            now: Monotonic seconds.
        """
        if not self._out or len(ranked) < 2:
            return ranked
        out = [one for one in ranked if self.leaves_out(one, now)]
        if not out or len(out) == len(ranked):
            return ranked
        if out[0] is ranked[0] and self._takes_trial(out[0], now):
            del out[0]
        return (*(one for one in ranked if one not in out), *out)

    def leaves_out(self, deployment: Deployment, now: float) -> bool:
        """Whether a deployment is not to be asked while another can be.

        Args:
            deployment: The deployment.
            now: Monotonic seconds.
        """
        if not self._out:
            return False
        key = _key(deployment)
        entry = self._out.get(key)
        if entry is None:
            return False
        if now < entry.until:
            return True
        self._take_back(key, deployment, "its time has passed")
        return False

    def answered(self, attempt: Attempt, now: float) -> None:
        """An attempt has given content: what it proves, and what its head said of limits that are used up.

        Args:
            attempt: The attempt.
            now: Monotonic seconds.
        """
        if self._out:
            key = _key(attempt.deployment)
            entry = self._out.get(key)
            if entry is not None and attempt.started > entry.seen and not _is_bad(attempt.status):
                self._take_back(key, attempt.deployment, "it has answered")
        if attempt.quota_reset is not None:
            self._rest(attempt.deployment, attempt.quota_reset, now)

    def finished(self, attempt: Attempt, now: float) -> None:
        """Count an attempt that has ended; one that nobody waited for, or that was no fault of anybody's, says nothing.

        Args:
            attempt: The attempt.
            now: Monotonic seconds.
        """
        error = attempt.error
        failed = is_a_failure(error) if error is not None else _is_bad(attempt.status)
        if failed or attempt.first_content is not None or _is_an_answer(error):
            self._count(attempt, now, failed=failed)
        if isinstance(error, ProviderError):
            wait = self._wish(error, attempt)
            if wait is not None:
                self._rest(attempt.deployment, wait, now)

    def _wish(self, error: ProviderError, attempt: Attempt) -> float | None:
        """Seconds for which a provider wants to be left alone; None when it says nothing of the kind."""
        limited = _limits(error)
        if limited and error.code == "insufficient_quota":
            return math.inf
        if error.retry_after is not None and (limited or is_a_failure(error)):
            return error.retry_after
        if not limited:
            return None
        return self.config.interval if attempt.quota_reset is None else attempt.quota_reset

    def _count(self, attempt: Attempt, now: float, *, failed: bool) -> None:
        config, key = self.config, _key(attempt.deployment)
        window = self._windows.pop(key, None) or _Window(config.buckets)
        window.add(int(now * config.buckets / config.window), failed=failed)
        _remember(self._windows, key, window)
        if not failed:
            return
        entry = self._out.get(key)
        enough = window.requests >= config.min_requests and window.errors > config.ratio * window.requests
        if enough or (entry is not None and now < entry.until and attempt.started > entry.seen):
            why = f"{window.errors} of its last {window.requests} requests failed"
            self._leave_out(attempt.deployment, now, now + config.window, now + config.interval, why)

    def _rest(self, deployment: Deployment, seconds: float, now: float) -> None:
        """Leave a deployment alone for as long as it asks for, within the bound."""
        seconds = min(seconds, self.config.max_rest)
        if seconds > 0:
            why = f"it limits the gateway for {seconds:.3g} s"
            self._leave_out(deployment, now, now + seconds, now + seconds, why)

    def _leave_out(self, deployment: Deployment, now: float, until: float, trial: float, why: str) -> None:
        key = _key(deployment)
        entry = self._out.pop(key, None)
        if entry is None or entry.until <= now:
            log.warning("%s is left out while another can be asked: %s", deployment.id, why)
            entry = _Out(now, until, trial, now)
        else:
            entry.until, entry.trial = max(entry.until, until), max(entry.trial, trial)
            entry.seen = now
        _remember(self._out, key, entry)

    def _take_back(self, key: _Key, deployment: Deployment, why: str) -> None:
        """Begin anew with a deployment: what it did before is not held against it."""
        del self._out[key]
        self._windows.pop(key, None)
        log.info("%s is back: %s", deployment.id, why)

    def _takes_trial(self, deployment: Deployment, now: float) -> bool:
        entry = self._out[_key(deployment)]
        if now < entry.trial:
            return False
        entry.trial = now + self.config.interval
        return True


def is_a_failure(error: GatewayError | None) -> bool:
    """Whether an error says that a deployment is not well.

    A request that is wrong does not, a limit does not (it is waited for), nor a credential that is refused (it cools),
    nor a model that is not there.

    Args:
        error: What an attempt ended with.
    """
    if not isinstance(error, ProviderError) or isinstance(error, ProviderAuthenticationError | ProviderRateLimitError):
        return False
    if isinstance(error, ProviderProtocolError):
        return True
    status = error.upstream_status
    return error.retryable and (status is None or status < 400 or _is_bad(status) or status == _TIMED_OUT)


def _is_an_answer(error: GatewayError | None) -> bool:
    """Whether an error came as a whole answer of the provider's, who is well then."""
    return isinstance(error, ProviderError) and error.upstream_status is not None and not _limits(error)


def _limits(error: ProviderError) -> bool:
    return isinstance(error, ProviderRateLimitError) or error.upstream_status == _TOO_MANY


def _is_bad(status: int | None) -> bool:
    return status is not None and status >= 500


def _key(deployment: Deployment) -> _Key:
    """What a vendor's limits and troubles are about; a router may see another server under a provider's name."""
    provider = deployment.provider
    return deployment.id, provider.base_url, provider.secret


def _remember(known: dict[_Key, _Window] | dict[_Key, _Out], key: _Key, what: _Window | _Out) -> None:
    """Put something at the end of the line of those that may be forgotten."""
    if len(known) >= MOST:
        del known[next(iter(known))]
    known[key] = what  # type: ignore[assignment]
