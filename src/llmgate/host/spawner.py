"""How hypercorn's protocol starts the application for a request: in a task of its own, behind a mailbox."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from hypercorn.config import Config
from starlette.types import ASGIApp, Message, Scope

from llmgate.spec import ClientCertificate

from .credentials import CERTIFICATE
from .mailbox import Mailbox

__all__ = ["Spawner"]

log = logging.getLogger("llmgate.host")


class Spawner:
    """What hypercorn's protocol starts an application with, in place of its task group.

    Args:
        spawn: Runs a task.
        done: Called when the application has returned.
        certificate: The client's, which the application finds in the scope of each request.
    """

    def __init__(
        self,
        spawn: Callable[[Coroutine[Any, Any, Any]], Any],
        done: Callable[[], None],
        certificate: ClientCertificate | None = None,
    ) -> None:
        self._spawn = spawn
        self._done = done
        self._certificate = certificate

    async def spawn_app(
        self,
        app: ASGIApp,
        config: Config,  # noqa: ARG002 - hypercorn's signature
        scope: Scope,
        send: Callable[[Message | None], Awaitable[None]],
    ) -> Callable[[Message], Awaitable[None]]:
        """Start the application for one request.

        Returns:
            How the protocol hands it the request's messages.
        """
        if self._certificate is not None:
            scope[CERTIFICATE] = self._certificate
        mailbox = Mailbox()
        self._spawn(self._run(app, scope, mailbox, send))
        return mailbox.put

    async def _run(
        self, app: ASGIApp, scope: Scope, mailbox: Mailbox, send: Callable[[Message | None], Awaitable[None]]
    ) -> None:
        try:
            await app(scope, mailbox.get, send)
        except Exception:
            log.exception("the application failed")
        finally:
            mailbox.shut()
            await send(None)
            self._done()
