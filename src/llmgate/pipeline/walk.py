"""The way over ranked deployments: each tried, passed over or left out, and the account of every try."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Final, TypeVar

from llmgate.spec import (
    Deployment,
    GatewayError,
    GatewayRequest,
    InvalidRequestError,
    NoDeploymentError,
    ProviderAuthenticationError,
    ProviderError,
    Secret,
    SecretNotFoundError,
)

from .attempt import UNSAID, Said, Try, build_try, say
from .candidates import Candidates
from .failing import is_its_own_fault
from .key_pool import is_about_the_key
from .snapshot import ProviderRuntime

if TYPE_CHECKING:
    from .frame import ExchangeFrame

__all__ = ["Walk"]

log = logging.getLogger("llmgate.dispatch")

T = TypeVar("T")
NO_BETTER_LATER: Final = frozenset({"insufficient_quota", "model_not_found"})
"""Codes of errors that another deployment may not have, and that the same one will still have in a second."""

REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that do no more twice than once (RFC 9110, 9.2.2)."""


class Walk:
    """The way over the ranked deployments, in as many rounds as it takes.

    What an attempt costs: the first one nothing, nor failover to a deployment that does well. A repeat, and failover to
    one that failed a moment ago or is left out for its health, are paid for from the route's retry budget; where it is
    spent they are left out.

    Args:
        frame: The exchange.
        request: What is asked.
        candidates: Where the deployments come from.
    """

    def __init__(self, frame: ExchangeFrame, request: GatewayRequest, candidates: Candidates) -> None:
        self.frame = frame
        self.request = request
        self.candidates = candidates
        self._missing: list[SecretNotFoundError] = []
        self.tried: set[Deployment] = set()
        self._beyond_keys: set[str] = set()
        self._paid = False
        self._unsaid: InvalidRequestError | None = None
        self._skipped: GatewayError | None = None
        self.last_error: ProviderError | None = None
        self.waits: dict[Deployment, float] = {}
        """The deployments that failed in the last round and may be tried again, and the seconds that each asks for."""

    async def through(
        self, ranked: Iterable[Deployment], run: Callable[[Try], Awaitable[T]], *, beside: bool = False
    ) -> T | None:
        """Try each deployment once, in order.

        Args:
            ranked: Deployments in order of trial.
            run: Makes one try.
            beside: Whether it goes on beside a way that has begun, with what that one has left.

        Returns:
            The first answer; None when every one failed in a way that another might not have.

        Raises:
            GatewayError: a failure that no other deployment would spare the caller.
        """
        if not beside:
            self.waits = {}
            self._beyond_keys.clear()
        for deployment in ranked:
            if deployment.key is not None and deployment.id in self._beyond_keys:
                continue  # it fails whatever key it is asked with
            runtime = self.frame.snapshot.runtimes[deployment.provider]
            try:
                said = self._say(runtime, deployment)
                secret = await self.frame.secrets.for_deployment(deployment)
            except SecretNotFoundError as missing:
                self._missing.append(missing)
                continue
            except InvalidRequestError as refused:
                if not self._passes(refused):
                    raise
                continue
            answer = await self._at(deployment, secret, said, run)
            if answer is not None:
                return answer
        return None

    def has_tried(self, deployment: Deployment) -> bool:
        """Whether a deployment has been tried, with whatever key."""
        return any(one.id == deployment.id for one in self.tried)

    def pay(self) -> bool:
        """Pay for the next attempt that costs something; False where the budget is spent."""
        self._paid = self._paid or self.candidates.route.budget.withdraw(self.frame.clock.monotonic())
        return self._paid

    def pays_beside(self, asked: Deployment) -> bool:
        """Pay for an attempt beside one that is under way, which goes to another deployment; False where it may not."""
        if not self.candidates.route.budget.withdraw(self.frame.clock.monotonic()):
            return False
        self._beyond_keys.add(asked.id)
        return True

    async def _at(
        self, deployment: Deployment, secret: Secret | None, said: Said | None, run: Callable[[Try], Awaitable[T]]
    ) -> T | None:
        """Try a deployment, and again where its credential was refused and has been exchanged for another."""
        answer, error = await self._once(deployment, secret, said, run)
        if secret is None or not isinstance(error, ProviderAuthenticationError):
            return answer
        secrets, status = self.frame.secrets, error.upstream_status
        other = await secrets.after_refusal(deployment, secret, status)
        if other is None:
            return None
        log.info("%s: the credential of %s has been exchanged", self.frame.id, deployment.provider_name)
        answer, error = await self._once(deployment, other, said, run, exchanged=True)
        if isinstance(error, ProviderAuthenticationError):
            secrets.cool(deployment, other, error.upstream_status)
        return answer

    async def _once(
        self,
        deployment: Deployment,
        secret: Secret | None,
        said: Said | None,
        run: Callable[[Try], Awaitable[T]],
        *,
        exchanged: bool = False,
    ) -> tuple[T | None, ProviderError | None]:
        """One attempt: its answer, or the error that another attempt may not meet; neither when it was left out."""
        # With another credential it is no repeat: of all who were refused with the old one each has this one attempt.
        costs = not exchanged and self._costs(deployment)
        if costs and not self._affords(deployment):
            return None, None
        attempt = self.frame.new_attempt(deployment, self.candidates.strategy)
        if not await self.frame.start_attempt(attempt):
            self.frame.snapshot.health.spared(attempt, self.frame.clock.monotonic())
            self._skipped = self._skipped or attempt.error
            return None, None
        self.tried.add(deployment)
        self._paid = self._paid and not costs
        tried = None
        try:
            runtime = self.frame.snapshot.runtimes[deployment.provider]
            tried = build_try(
                runtime, self.request, attempt, secret, self.frame.clock.now(), said, exchange_id=self.frame.id
            )
            trace = self.frame.exchange.trace
            if trace is not None and trace.carried:
                tried = tried.traced(trace)
            return await run(tried), None
        except ProviderError as error:
            if tried is not None:
                tried.withhold(error)
            await self.frame.end_attempt(attempt, error)
            if not is_its_own_fault(error) or not self._may_go_on(deployment, error):
                raise
            if self.request.upload is not None and not self.request.upload.repeatable:
                error.retryable = False  # bytes of the body are gone: only the caller can send them again
                raise
            self._failed(deployment, error)
            return None, error
        except GatewayError as error:
            await self.frame.end_attempt(attempt, error)
            if tried is not None or not self._passes(error):
                raise
            return None, None

    def _costs(self, deployment: Deployment) -> bool:
        """Whether an attempt is paid for from the retry budget."""
        if not self.tried:
            return False
        now = self.frame.clock.monotonic()
        snapshot = self.frame.snapshot
        return (
            deployment in self.tried
            or snapshot.failing.fails(deployment, now)
            or snapshot.health.leaves_out(deployment, now)
        )

    def _affords(self, deployment: Deployment) -> bool:
        """Whether an attempt may be made that costs something: not at one that only fails, nor beyond the budget."""
        health, now = self.frame.snapshot.health, self.frame.clock.monotonic()
        if health.refuses(deployment, now):
            log.info("%s: %s fails, and is left out", self.frame.id, deployment.id)
            return False
        if not self.pay():
            log.info("%s: the retry budget is spent, %s is left out", self.frame.id, deployment.id)
            return False
        health.take_trial(deployment, now)
        return True

    def _may_go_on(self, deployment: Deployment, error: ProviderError) -> bool:
        """Whether the request may be sent once more: somebody waits, and it was not lost where that must not happen."""
        if self.frame.exchange.disconnected:
            return False
        if not error.lost:
            return True
        relay = self.request.relay
        if relay is None:
            return self.candidates.route.resend_unknown
        if relay.method in REPEATABLE:
            return True
        # Where every path may be called, a POST may make or start something, and nobody knows whether it has.
        return self.candidates.route.resend_unknown and not deployment.provider.passthrough

    def _say(self, runtime: ProviderRuntime, deployment: Deployment) -> Said | None:
        """The request in a deployment's wire format, before anything of it is tried: a refusal leaves no attempt."""
        if self.request.relay:
            return None
        return say(runtime, self.request, deployment, self.candidates.route.unsupported)

    def _passes(self, refused: GatewayError) -> bool:
        """Whether a deployment that speaks another wire format might take it; keeps the first refusal."""
        if not isinstance(refused, InvalidRequestError) or refused.code not in UNSAID:
            return False
        self._unsaid = self._unsaid or refused
        return True

    def _failed(self, deployment: Deployment, error: ProviderError) -> None:
        log.info("%s: %s failed: %s", self.frame.id, deployment.id, error.message)
        self.last_error = error
        if deployment.key is not None and not is_about_the_key(error):
            self._beyond_keys.add(deployment.id)
        if not isinstance(error, ProviderAuthenticationError) and error.code not in NO_BETTER_LATER:
            self.waits[deployment] = error.retry_after or 0.0

    def verdict(self) -> GatewayError:
        """What the caller is told after every candidate has failed."""
        if self.last_error is not None:
            return self.last_error
        if self._skipped is not None:
            return self._skipped
        if self._unsaid is not None:
            return self._unsaid
        if self._missing:
            return NoDeploymentError("; ".join(one.message for one in self._missing), code="missing_credential")
        return NoDeploymentError(
            f"no deployment can serve model {self.request.model!r} now: every candidate was skipped by an interceptor"
        )
