"""Keys at a provider that are not for everybody: the caller's own, and those that callers are bound to.

The caller's own key goes to that provider alone, and what becomes of it is the caller's matter.

A key belongs to one vendor and does not say to which. So a request that comes with one has one vendor before anything
is tried, by its address or by its model's name; failover goes on among that vendor's deployments and never leaves it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from llmgate.spec import (
    Clock,
    Credentials,
    Deployment,
    InvalidRequestError,
    Operation,
    Provider,
    Secret,
    SecretNotFoundError,
    SecretRef,
)
from llmgate.spec.model_chain import read_model_chain

from .authentication import check_scope
from .candidates import Candidates, owns
from .credentials import SecretBroker
from .failing import Failing
from .health import Health
from .snapshot import Snapshot

if TYPE_CHECKING:
    from .frame import ExchangeFrame

__all__ = ["BoundKeys", "CallerKey", "bring_key", "hold_to_principal", "judged_apart", "mark_of", "of_one_vendor"]


class CallerKey(SecretBroker):
    """The one key of an exchange whose caller has brought it; no store is asked.

    Args:
        secret: The key.
        clock: As for any broker.
    """

    def __init__(self, secret: Secret, clock: Clock) -> None:
        super().__init__({}, clock)
        self._secret = secret

    async def for_deployment(self, deployment: Deployment) -> Secret | None:  # noqa: ARG002 - the interface
        """The caller's key."""
        return self._secret

    async def after_refusal(self, deployment: Deployment, refused: Secret, status: int | None) -> Secret | None:  # noqa: ARG002 - the interface
        """Nothing takes its place."""
        return None

    async def usable(self, deployments: Sequence[Deployment]) -> Sequence[Deployment]:
        """All of them."""
        return deployments

    def lacks(self, provider: Provider) -> bool:  # noqa: ARG002 - the interface
        """Never."""
        return False


class BoundKeys(SecretBroker):
    """The keys of an exchange whose caller is bound to some: those for their providers, the providers' own for others.

    Args:
        base: Where secrets are, and what is known of the providers' own.
        refs: The keys by the names of their providers.
        clock: As for any broker.
    """

    def __init__(self, base: SecretBroker, refs: Mapping[str, SecretRef], clock: Clock) -> None:
        super().__init__({}, clock)
        self._base = base
        self._refs = refs

    async def fetch(self, ref: SecretRef) -> Secret:
        """The secret behind a reference."""
        return await self._base.fetch(ref)

    async def for_deployment(self, deployment: Deployment) -> Secret | None:
        """The key that the caller is bound to, else the provider's own.

        Raises:
            SecretNotFoundError: it is not there; nobody goes with another in its place.
        """
        ref = self._refs.get(deployment.provider_name)
        if ref is None:
            return await self._base.for_deployment(deployment)
        try:
            return await self._base.fetch(ref)
        except SecretNotFoundError as missing:
            raise type(missing)(
                f"the key for provider {deployment.provider_name!r} that this caller is bound to is missing: "
                f"{missing.message}"
            ) from None

    async def after_refusal(self, deployment: Deployment, refused: Secret, status: int | None) -> Secret | None:
        """What has taken its place in its store; nothing is left out for other callers."""
        ref = self._refs.get(deployment.provider_name)
        if ref is None:
            return await self._base.after_refusal(deployment, refused, status)
        current = await self._base.replaced(ref, refused)
        return None if current is None or current.reveal() == refused.reveal() else current

    def cool(self, deployment: Deployment, refused: Secret, status: int | None) -> None:
        """Leave a provider's own key out; a key that callers are bound to has no other in its place."""
        if deployment.provider_name not in self._refs:
            self._base.cool(deployment, refused, status)

    async def usable(self, deployments: Sequence[Deployment]) -> Sequence[Deployment]:
        """Those with a key that the caller is bound to, and those whose own is not missing or refused."""
        others = [one for one in deployments if one.provider_name not in self._refs]
        kept = set(await self._base.usable(others)) if others else set()
        return [one for one in deployments if one.provider_name in self._refs or one in kept]

    def lacks(self, provider: Provider) -> bool:
        """Whether neither was there when it was last looked for."""
        return provider.name not in self._refs and self._base.lacks(provider)


def hold_to_principal(frame: ExchangeFrame, operation: Operation) -> None:
    """See that the caller may ask for an operation; where it is bound to keys, go with them and judge apart by them.

    They are for providers that the operator has configured: a target of the caller's own never gets one, whatever its
    host is called.

    Args:
        frame: The exchange, before anything is tried.
        operation: What is asked for.

    Raises:
        PermissionDeniedError: the caller may not.
    """
    principal = frame.view.principal
    check_scope(principal, operation)
    if principal.secrets and frame.snapshot.aimed is None:
        frame.secrets = BoundKeys(frame.secrets, principal.secrets, frame.clock)
        frame.snapshot = judged_apart(frame.snapshot)


def bring_key(frame: ExchangeFrame, credentials: Credentials | None) -> None:
    """Go to the provider with the key that the caller brings for it, where he brings one.

    Args:
        frame: The exchange, before anything is tried.
        credentials: What the caller presents.
    """
    if credentials is None or not credentials.provider_key:
        return
    frame.caller_key = Secret(credentials.provider_key, callers=True)
    frame.exchange.caller_key = mark_of(frame.caller_key)
    frame.secrets = CallerKey(frame.caller_key, frame.clock)
    frame.snapshot = judged_apart(frame.snapshot)


def mark_of(secret: Secret) -> str:
    """What tells a caller's key from every other, 32 hex digits: answers are kept apart by it."""
    return hashlib.sha256(b"llmgate-caller-key:" + secret.reveal().encode("utf-8", "surrogatepass")).hexdigest()[:32]


def judged_apart(snapshot: Snapshot) -> Snapshot:
    """The snapshot for one exchange: that a caller's own account is spent says nothing of the deployment to others."""
    return attrs.evolve(snapshot, failing=Failing(), health=Health(snapshot.config.health))


def of_one_vendor(candidates: Candidates, model: str) -> Candidates:
    """The candidates at the vendor that a caller's key can only be for.

    Args:
        candidates: Where the request could go.
        model: The model asked for.

    Raises:
        InvalidRequestError: there are several vendors, and the model's name is plainly of none or of several.
    """
    if len({one.provider.row.name for one in candidates.deployments}) <= 1:
        return candidates
    found = [one for name in read_model_chain(model).models for one in _meant(candidates.deployments, name)]
    if len({one.provider.row.name for one in found}) != 1:
        names = ", ".join(dict.fromkeys(one.provider_name for one in candidates.deployments))
        raise InvalidRequestError(
            f"several providers serve model {model[:200]!r} ({names}), and a key of your own is for one of them: say "
            "which, as in the model 'openai/…'",
            param="model",
            code="ambiguous_provider",
        )
    return attrs.evolve(candidates, deployments=list(dict.fromkeys(found)))


def _meant(deployments: Sequence[Deployment], model: str) -> Sequence[Deployment]:
    """Those whose provider a name says, else those that it is plainly a name of."""
    *owners, bare = model.split("/")
    named = [one for one in deployments if one.provider.name in owners or one.provider.row.name in owners]
    return named or [one for one in deployments if owns(one.provider, bare)]
