"""The auth provider ``control-plane``: who has the key that is presented, as a control plane has told it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from llmgate.spec import (
    AuthenticationError,
    AuthProvider,
    ConfigError,
    Credentials,
    Peppers,
    Principal,
    StageContext,
)

from .config import ControlPlaneConfig
from .errors import ControlPlaneUnavailableError
from .feed import KeyFeed
from .keeper import Keeper
from .keys import ISSUER, KeyTable, told_by
from .line import Line
from .seal import Seal
from .snapshot import SnapshotFile

__all__ = ["ControlPlane"]

_RETRY_AFTER: Final = 1.0
_SNAPSHOT_WAIT: Final = 2.0
"""Seconds that a start waits for the control plane at most when there are keys of before to go on with."""


class ControlPlane(AuthProvider[ControlPlaneConfig]):
    """Knows callers by keys that a control plane tells the gateway over a connection that stays open.

    Nothing is asked for a request: what is presented is hashed, always the same number of times, and looked up. Keys
    that are unknown, revoked and ended look alike to the caller; the reason is in the record.
    """

    name = ISSUER
    config_class = ControlPlaneConfig

    def __init__(self, config: ControlPlaneConfig) -> None:
        super().__init__(config)
        self._table = KeyTable()
        self._feed = KeyFeed(self._table, config.max_keys)
        self._context: StageContext | None = None
        self._digests: Callable[[str], Sequence[bytes]] = told_by(None)
        self._line: Line | None = None
        self._keeper: Keeper | None = None

    async def open(self, context: StageContext) -> None:
        """Read the keys of before, begin to connect, and wait a while for the control plane.

        Raises:
            SecretNotFoundError: there is no credential, or another secret that the config names.
            ConfigError: a pepper, the key of the snapshot or the certificates cannot be used.
        """
        config = self.config
        credential = (await context.fetch_secret(config.credential)).reveal()
        if not credential.strip():
            raise ConfigError(f"{context.id}: {config.credential} is empty: put the gateway's credential there")
        peppers = None
        if config.pepper is not None:
            peppers = await Peppers.fetch((config.pepper, *config.former_peppers), context)
        self._digests = told_by(peppers)
        restored = await self._restore(context)
        self._line = Line(config, context, await self._authorities(context), self._feed, self._note)
        self._context = context
        self._line.start()
        if self._keeper is not None:
            self._keeper.start()
        await self._line.wait(
            min(config.open_timeout, _SNAPSHOT_WAIT) if restored else config.open_timeout, patiently=not restored
        )

    async def aclose(self) -> None:
        """Close the connection, write the snapshot, forget the keys."""
        line, self._line = self._line, None
        if line is not None:
            await line.aclose()
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await keeper.aclose()
        self._context = None
        self._table.replace(())
        self._feed = KeyFeed(self._table, self.config.max_keys)

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """The principal whose key is presented; None when no key is.

        Raises:
            AuthenticationError: a key is presented, and it is unknown, revoked, ended, or used from elsewhere.
            ControlPlaneUnavailableError: nobody can say, because the control plane is away.
        """
        context = self._context
        if context is None:
            raise AuthenticationError(reason=f"{self.name} is not open")
        reason = ""
        for token in credentials.presented():
            self._refuse_stale(context)
            principal, why = self._table.find(self._digests(token), credentials.client_address, context.clock.now())
            if principal is not None:
                return principal
            reason = reason or why
        if not reason or (reason == "unknown key" and self.config.unknown == "pass"):
            return None
        raise AuthenticationError(reason=reason)

    def _refuse_stale(self, context: StageContext) -> None:
        """See that what is known of keys may be believed still."""
        feed = self._feed
        if not feed.filled:
            raise ControlPlaneUnavailableError(
                f"{context.id}: the control plane has not told any keys yet", retry_after=_RETRY_AFTER
            )
        now = context.clock.monotonic()
        silent = now - feed.known_since(now)
        if silent > self.config.known_for + feed.slack or (not feed.synced and not self.config.known_for):
            raise ControlPlaneUnavailableError(
                f"{context.id}: the control plane does not answer, and what is known of keys is older than stale-for",
                retry_after=_RETRY_AFTER,
            )

    def _note(self) -> None:
        if self._keeper is not None:
            self._keeper.note()

    async def _restore(self, context: StageContext) -> bool:
        """Begin with the keys on disk; whether there were any."""
        config = self.config
        if not config.snapshot:
            return False
        seal = None if config.snapshot_key is None else await Seal.fetch(config.snapshot_key, context)
        file = SnapshotFile(context.directory / config.snapshot, config.url, seal)
        self._keeper = Keeper(file, context, self._table, self._feed, config.known_for)
        return await self._keeper.restore()

    async def _authorities(self, context: StageContext) -> str | None:
        if self.config.ca_file is None:
            return None
        path = context.directory / self.config.ca_file
        try:
            return await asyncio.to_thread(path.read_text, "ascii")
        except (OSError, UnicodeDecodeError) as failure:
            raise ConfigError(
                f"{context.id}: ca-file: {path} cannot be read ({type(failure).__name__}): write where the "
                "certificates (PEM) are that the control plane's is checked against"
            ) from None
