"""Which deployments are left out for a while: those that fail too often, and those that limit the gateway now.

The rule is that of a circuit breaker with a sliding window: out by the share of errors, back by a trial request that is
answered. Who fails most of the time is not asked at all before its trial, even where no other can be; who fails more
often than is right, or limits the gateway, is then asked all the same: bad is better than none.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from llmgate.config.model import HealthConfig
from llmgate.spec import (
    Attempt,
    Clock,
    Deployment,
    GatewayError,
    NoDeploymentError,
    ProviderAuthenticationError,
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimitError,
    SecretRef,
)

from .checkup import Checkup, HealthState, instance_of
from .latencies import Latencies, Percentiles
from .outage import Outage
from .rumours import Rumours, as_rumour
from .window import Window

__all__ = ["Health", "is_a_failure"]

log = logging.getLogger("llmgate.health")

MOST: Final = 10_000
"""Deployments remembered; beyond it the one that was used longest ago is forgotten."""

_TIMED_OUT: Final = 408
_TOO_MANY: Final = 429

_Key: TypeAlias = "tuple[str, str, SecretRef | None]"


@attrs.define(eq=False)
class _Seen:
    """What is remembered of a deployment that has been asked.

    Args:
        deployment: The deployment.
        window: Its requests of the last seconds.
        latencies: How long its last answers took.
    """

    deployment: Deployment
    window: Window
    latencies: Latencies = attrs.field(factory=Latencies)


class Health:
    """Counts what becomes of attempts and puts in the last place those deployments that are not to be asked now.

    Args:
        config: How health is judged.
    """

    def __init__(self, config: HealthConfig) -> None:
        self.config = config
        self._seen: dict[_Key, _Seen] = {}
        self._out: dict[_Key, Outage] = {}
        self._heard = Rumours(max(config.window, config.max_rest))
        self.listener: Callable[[Deployment], None] | None = None
        """Is told when a deployment is left out, or back, by what this process has seen."""

    def arranged(self, ranked: Sequence[Deployment], now: float) -> Sequence[Deployment]:
        """Ranked deployments with those that are left out behind the others.

        The first of them all, where it is due for a trial, stays first: that is its trial, and while it lasts there is
        no other. Where every one is left out, those that may be asked all the same stay as they are.

        Args:
            ranked: Deployments in order of trial.
            now: Monotonic seconds.

        Raises:
            NoDeploymentError: every one fails, and none is due for a trial.
        """
        if not (self._out or self._heard):
            return ranked
        front: list[Deployment] = []
        behind: list[Deployment] = []
        for one in ranked:
            outage = self._outage(one, now)
            first = one is ranked[0]
            if outage is None or ((first or now >= outage.until) and outage.is_due(now)):
                front.append(one)
            else:
                behind.append(one)
        if not front:
            front, behind = self._last_resort(behind, now), []
        self.take_trial(front[0], now)
        return (*front, *behind) if behind else front

    def leaves_out(self, deployment: Deployment, now: float) -> bool:
        """Whether a deployment is not to be asked while another can be.

        Args:
            deployment: The deployment.
            now: Monotonic seconds.
        """
        return bool(self._out or self._heard) and self._outage(deployment, now) is not None

    def refuses(self, deployment: Deployment, now: float) -> bool:
        """Whether a deployment is not to be asked now, not even for lack of another.

        Args:
            deployment: The deployment.
            now: Monotonic seconds.
        """
        if not self._out:
            return False
        outage = self._outage(deployment, now)
        return outage is not None and self._is_firm(outage) and not outage.is_due(now)

    def take_trial(self, deployment: Deployment, now: float) -> None:
        """The next attempt at a deployment is its trial, where one is due.

        Args:
            deployment: The deployment.
            now: Monotonic seconds.
        """
        outage = self._out.get(_key(deployment)) if self._out else None
        if outage is not None:
            timeouts = deployment.provider.timeouts
            outage.take_trial(now, timeouts.connect + timeouts.first_byte)

    def spared(self, attempt: Attempt, now: float) -> None:
        """An attempt was not made after all; where it was to be a trial, another one is.

        Args:
            attempt: The attempt.
            now: Monotonic seconds.
        """
        outage = self._out.get(_key(attempt.deployment)) if self._out else None
        if outage is not None:
            outage.end_trial(attempt.started, now)

    def checkups(self, clock: Clock) -> Sequence[Checkup]:
        """What is known of every deployment that has been asked, sorted by id.

        Args:
            clock: The time.
        """
        now, epoch = clock.monotonic(), clock.now()
        checkups = [self._checkup(key, seen, now, epoch) for key, seen in self._seen.items()]
        return sorted(checkups, key=lambda one: (one.id, one.instance))

    def states(self, now: float) -> Sequence[tuple[str, HealthState, bool]]:
        """Of every deployment that has been asked its id, its state, and whether it has answered or is left out.

        Args:
            now: Monotonic seconds.
        """
        found: list[tuple[str, HealthState, bool]] = []
        for key, seen in self._seen.items():
            outage = self._out.get(key)
            if outage is None or (now >= outage.until and not (outage.share > 0 and self._is_firm(outage))):
                found.append((seen.deployment.id, "closed", len(seen.latencies) > 0))
            else:
                found.append((seen.deployment.id, outage.state(now), True))
        return found

    def failing(self) -> Sequence[Deployment]:
        """Who is left out for failing, and has been asked by this process."""
        return [self._seen[key].deployment for key, one in self._out.items() if one.share > 0 and key in self._seen]

    def probed(self, deployment: Deployment, now: float, *, passed: bool) -> None:
        """The provider of a deployment has been asked whether it is there.

        Args:
            deployment: The deployment.
            now: Monotonic seconds.
            passed: Whether it answers.
        """
        outage = self._out.get(_key(deployment))
        if outage is not None:
            outage.note_probe(now, passed=passed)
            log.info("%s %s a probe", deployment.id, "answers" if passed else "does not answer")
            if passed:
                self._tell(deployment)

    def told(self, deployment: Deployment, now: float) -> Mapping[str, Any] | None:
        """What other processes are told of a deployment; None where it is not left out."""
        return as_rumour(self._out.get(_key(deployment)), now)

    def hear(self, instance: str, told: Mapping[str, Any] | None, now: float) -> None:
        """Another process tells of a deployment.

        Args:
            instance: Which, as ``instance_of`` calls it.
            told: What it tells; None where it is not left out any more.
            now: Monotonic seconds.

        Raises:
            ValueError, TypeError, KeyError: it makes no sense.
        """
        rumour = None if told is None else self._heard.read(told, now)
        known = ((key, self._seen[key].deployment) for key in self._out if key in self._seen)
        found = next((one for one in known if instance_of(one[1]) == instance), None)
        if rumour is None:
            self._heard.take(instance, now)
            if found is not None:
                self._take_back(*found, "it has answered another process")
        elif found is None:
            self._heard.keep(instance, rumour, now)
        else:
            outage = self._out[found[0]]
            outage.until, outage.share = rumour.until, max(outage.share, rumour.share)
            outage.trial = min(outage.trial, rumour.trial) if rumour.wait(now) == 0 else max(outage.trial, rumour.trial)

    def answered(self, attempt: Attempt, now: float) -> None:
        """An attempt has given content: what it proves, and what its head said of limits that are used up.

        Args:
            attempt: The attempt.
            now: Monotonic seconds.
        """
        if self._out:
            key = _key(attempt.deployment)
            outage = self._out.get(key)
            if outage is not None and attempt.started > outage.seen and not _is_bad(attempt.status):
                self._take_back(key, attempt.deployment, "it has answered")
                self._tell(attempt.deployment)
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
        if self._out:
            outage = self._out.get(_key(attempt.deployment))
            if outage is not None:
                outage.end_trial(attempt.started, now + self.config.interval if failed else now)

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
        outage = self._outage(attempt.deployment, now) if self._out else None
        seen = self._seen.get(key)
        if seen is None or len(self._seen) > MOST // 2:  # from here on who is forgotten matters
            seen = self._seen.pop(key, None) or _Seen(attempt.deployment, Window(config.buckets))
            _remember(self._seen, key, seen)
        window = seen.window
        window.add(int(now * config.buckets / config.window), failed=failed)
        if attempt.first_content is not None and not failed:
            seen.latencies.add(now, attempt.first_content - attempt.started, now - attempt.started)
        if outage is not None:
            outage.count(failed=failed)
        if not failed:
            return
        judged = window.requests >= config.min_requests
        enough = judged and window.errors > config.ratio * window.requests
        if enough or (outage is not None and attempt.started > outage.seen):
            known = outage is not None and self._is_firm(outage)
            last = "" if attempt.error is None else f", the last one with {attempt.error.code}"
            why = f"{window.errors} of its last {window.requests} requests failed{last}"
            outage = self._leave_out(attempt.deployment, now, now + config.window, now + config.interval, why)
            if judged:
                outage.share = window.errors / window.requests
            if outage.requests >= config.min_requests:
                outage.share = max(outage.share, outage.errors / outage.requests)
            if outage.since == now or self._is_firm(outage) is not known:
                self._tell(attempt.deployment)

    def _checkup(self, key: _Key, seen: _Seen, now: float, epoch: float) -> Checkup:
        deployment, outage = seen.deployment, self._outage(seen.deployment, now) if key in self._out else None
        seen.window.turn(int(now * self.config.buckets / self.config.window))
        first, total = seen.latencies.recent(now)
        return Checkup(
            id=deployment.id,
            provider_name=deployment.provider_name,
            model=deployment.model,
            instance=instance_of(deployment),
            state="closed" if outage is None else outage.state(now),
            requests=seen.window.requests,
            errors=seen.window.errors,
            reason=None if outage is None else outage.why,
            out_since=None if outage is None else epoch - (now - outage.since),
            probe=None if outage is None or outage.probed is None else outage.probed[1],
            trial_at=None if outage is None else epoch + outage.wait(now),
            dead=outage is not None and self._is_firm(outage),
            answers=len(total),
            first_content=Percentiles.of(first),
            total=Percentiles.of(total),
            first_times=first,
            total_times=total,
        )

    def _rest(self, deployment: Deployment, seconds: float, now: float) -> None:
        """Leave a deployment alone for as long as it asks for, within the bound."""
        seconds = min(seconds, self.config.max_rest)
        if seconds > 0:
            why = f"it limits the gateway for {seconds:.3g} s"
            if self._leave_out(deployment, now, now + seconds, now + seconds, why).since == now:
                self._tell(deployment)

    def _leave_out(self, deployment: Deployment, now: float, until: float, trial: float, why: str) -> Outage:
        key = _key(deployment)
        outage = self._outage(deployment, now)
        if outage is None:
            log.warning("%s is left out while another can be asked: %s", deployment.id, why)
            outage = Outage(now, until, trial, now, why)
        else:
            outage.extend(now, until, trial, why)
            del self._out[key]
        _remember(self._out, key, outage)
        return outage

    def _outage(self, deployment: Deployment, now: float) -> Outage | None:
        """The outage of a deployment; one whose time has passed is forgotten, unless its trial is still to come."""
        key = _key(deployment)
        outage = self._out.get(key)
        if outage is None and self._heard:
            outage = self._heard.take(instance_of(deployment), now)
            if outage is not None:
                _remember(self._out, key, outage)
                if key not in self._seen:
                    _remember(self._seen, key, _Seen(deployment, Window(self.config.buckets)))
        if outage is None or now < outage.until or (outage.share > 0 and self._is_firm(outage)):
            return outage
        self._take_back(key, deployment, "its time has passed")
        return None

    def _take_back(self, key: _Key, deployment: Deployment, why: str) -> None:
        """Begin anew with a deployment: what it did before is not held against it."""
        del self._out[key]
        seen = self._seen.get(key)
        if seen is not None:
            seen.window = Window(self.config.buckets)
        log.info("%s is back: %s", deployment.id, why)

    def _tell(self, deployment: Deployment) -> None:
        if self.listener is not None:
            self.listener(deployment)

    def _is_firm(self, outage: Outage) -> bool:
        """Whether a deployment is asked for nothing but a trial, even where no other can be."""
        rule = self.config.when_all_out
        return rule == "refuse" or (rule == "refuse-failing" and outage.share > self.config.refuse_ratio)

    def _last_resort(self, ranked: Sequence[Deployment], now: float) -> list[Deployment]:
        """Whom to ask where every one is left out."""
        outages = [(one, self._out[_key(one)]) for one in ranked]
        asked = [one for one, outage in outages if not self._is_firm(outage) or outage.is_due(now)]
        if asked:
            return asked
        wait = min(outage.wait(now) or self.config.interval for _, outage in outages)
        raise NoDeploymentError(
            f"every deployment that could serve the request is failing: send it again in {math.ceil(wait)} s",
            code="all_deployments_out",
            retry_after=wait,
        )


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


def _remember(known: dict[_Key, _Seen] | dict[_Key, Outage], key: _Key, what: _Seen | Outage) -> None:
    """Put something at the end of the line of those that may be forgotten."""
    if len(known) >= MOST:
        del known[next(iter(known))]
    known[key] = what  # type: ignore[assignment]
