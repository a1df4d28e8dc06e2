"""What is asked of the gateway itself, in an exchange of its own: models, health, who has kept an answer."""

from __future__ import annotations

from collections.abc import Sequence

from llmgate.spec import Deployment, Provider

from .candidates import find_speakers
from .checkup import Checkup
from .credentials import SecretBroker
from .holders import find_keeper
from .models import ModelEntry, list_models
from .timing import Timed

__all__ = ["Inquiries"]


class Inquiries(Timed):
    """What an exchange's frame answers without asking a provider."""

    secrets: SecretBroker

    def keeper(self, router: str | None, named: str | None, wire_format: str) -> Provider:
        """The provider that has kept an answer; see ``find_keeper``."""
        self.exchange.router = router
        return find_keeper(self.snapshot, router, named, wire_format)

    async def speaker(self, router: str | None, model: str, wire_format: str) -> Deployment:
        """Where a request about a model goes that cannot be translated; see ``find_speakers``."""
        self.exchange.router = router
        return (await self.secrets.usable(find_speakers(self.snapshot, router, model, wire_format)))[0]

    async def models(self, router: str | None = None) -> Sequence[ModelEntry]:
        """The models that the caller may ask for.

        Raises:
            ModelNotFoundError: there is no such router.
        """
        self.exchange.router = router
        entries = list_models(self.snapshot, self.secrets, self.view.principal, router)
        self.exchange.status = 200
        return entries

    async def health(self) -> Sequence[Checkup]:
        """The health of every deployment that has been asked and that the caller may ask."""
        self.exchange.status = 200
        principal, known = self.view.principal, self.snapshot.health.checkups(self.clock)
        return [one for one in known if principal.may_call(one.id, one.model)]
