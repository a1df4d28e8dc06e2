"""Request bodies that go upstream as they come from the client: bounded, paced, and kept only as far as needed.

What is kept is the front of a form whose deciding fields (``model``) have not come yet: up to 256 KiB in memory, beyond
that in a temporary file. Everything else passes through, the next piece when the provider has taken the last.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from typing import IO, Final

from starlette.types import Message, Receive

from llmgate.codecs.multipart import Form, FormScanner, MultipartError, boundary_of
from llmgate.config.model import ServerConfig
from llmgate.formats.carried import FORM_FIELDS
from llmgate.spec import GatewayError, InvalidRequestError, RequestTooLargeError

from .errors import ClientLeftError
from .mailbox import Mailbox
from .reading import too_slow

__all__ = ["IN_MEMORY", "ClientUpload", "read_form", "read_form_if_one"]

IN_MEMORY: Final = 256 * 1024
"""Bytes of a form's front that are kept in memory; beyond it they are kept in a temporary file."""

PIECE: Final = 64 * 1024


async def read_form_if_one(upload: ClientUpload, *, needs_model: bool = True) -> Form | None:
    """As ``read_form``; None for what is no form, or names no model, and is then passed on unread.

    Once the model has been read what follows is held to the rules all the same: nobody gets further by writing a second
    one.

    Args:
        upload: The body.
        needs_model: Whether a form that names no model is of no use; False where the operation has one of its own.
    """
    boundary = boundary_of(upload.media_type)
    scanner = FormScanner(boundary, FORM_FIELDS)
    unread = False

    def look(piece: bytes) -> None:
        nonlocal unread
        try:
            if not unread:
                scanner.feed(piece)
        except MultipartError:
            if "model" in scanner.fields:
                raise
            unread = True

    upload.watched_by(look)
    while not unread and ("model" not in scanner.fields or upload.is_small) and await upload.keep():
        pass
    readable = "model" in scanner.fields or not (needs_model or unread)
    return Form(upload, boundary, scanner.fields) if readable else None


async def read_form(upload: ClientUpload) -> Form:
    """Read a form as far as its ``model``, keeping what has come; the rest is looked at while it goes on.

    A small form is kept whole, so that it can be sent to another provider when the first fails.

    Raises:
        InvalidRequestError: it is no form, or one that two servers may read differently.
        RequestTooLargeError: the model comes too late.
    """
    boundary = boundary_of(upload.media_type)
    scanner = FormScanner(boundary, FORM_FIELDS)
    upload.watched_by(scanner.feed)
    while ("model" not in scanner.fields or upload.is_small) and await upload.keep():
        pass
    return Form(upload, boundary, scanner.fields)


class ClientUpload:
    """A request body on its way through; implements ``spec.Upload``.

    Args:
        receive: The ASGI server's.
        headers: The request's headers.
        limits: How large and how slow it may be.
        ended: Called once when all of it has come.
        left: Called when the client turns out to have left.
    """

    def __init__(
        self,
        receive: Receive,
        headers: Mapping[str, str],
        limits: ServerConfig,
        *,
        ended: Callable[[], None] = lambda: None,
        left: Callable[[], None] = lambda: None,
    ) -> None:
        self._receive = receive
        self._mailbox = Mailbox.behind(receive)
        self._limits = limits
        self._ended, self._left = ended, left
        self.media_type = headers.get("content-type", "")
        declared = headers.get("content-length", "")
        self.length: int | None = int(declared[:20]) if declared.isdecimal() else None
        self.failure: Exception | None = None
        self._watch: Callable[[bytes], None] | None = None
        self._came = 0
        self._waited = 0.0
        self._whole = False
        self._passed_on = False
        self._kept: list[bytes] = []
        self._kept_size = 0
        self._file: IO[bytes] | None = None
        if self.length is not None and self.length > limits.max_upload_bytes:
            raise self._too_large()

    @property
    def repeatable(self) -> bool:
        """Whether nothing has been passed on yet that is not kept."""
        return not self._passed_on and self.failure is None

    @property
    def is_small(self) -> bool:
        """Whether all of it can be kept in memory."""
        return self.length is not None and self.length <= IN_MEMORY

    def watched_by(self, watch: Callable[[bytes], None]) -> None:
        """Show every piece to a function before it goes on, and ``b""`` at the end; what it raises ends the body."""
        self._watch = watch

    async def keep(self) -> bool:
        """Take one more piece and keep it; False when all of the body has come.

        Raises:
            RequestTooLargeError: more would have to be kept than allowed.
        """
        piece = await self._take()
        if piece is None:
            return False
        self._kept_size += len(piece)
        if self._kept_size > self._limits.max_spool_bytes:
            raise self._fail(
                RequestTooLargeError(
                    f"the field `model` has not come in the first {self._limits.max_spool_bytes} bytes of the form "
                    "(server.max-spool-bytes): send it before the file",
                    param="model",
                    code="model_too_late",
                )
            )
        if self._file is None and self._kept_size > IN_MEMORY:
            await asyncio.to_thread(self._spill)
        if self._file is None:
            self._kept.append(piece)
        else:
            await asyncio.to_thread(self._file.write, piece)
        return True

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body from its beginning; what is kept can be had again, until more has been passed on."""
        if not self.repeatable:
            raise self.failure or RuntimeError("the body has been passed on already")
        for piece in self._kept:
            yield piece
        place = 0
        while self._file is not None and (piece := await asyncio.to_thread(self._read_at, place)):
            place += len(piece)
            yield piece
        while (taken := await self._take()) is not None:
            self._passed_on = True
            yield taken

    def close(self) -> None:
        """Forget what is kept. Idempotent."""
        self._kept = []
        file, self._file = self._file, None
        if file is not None:
            file.close()

    async def _take(self) -> bytes | None:
        """The next piece from the client; None at the end.

        Raises:
            GatewayError: it came too slowly, there is too much of it, or whoever watches refuses it.
            ClientLeftError: the client went away.
        """
        if self.failure is not None:
            raise self.failure
        while not self._whole:
            message = await self._next()
            if message["type"] == "http.disconnect":
                self._left()
                raise self._fail(ClientLeftError())
            piece: bytes = message.get("body", b"")
            self._came += len(piece)
            if self._came > self._limits.max_upload_bytes:
                raise self._fail(self._too_large())
            self._whole = not message.get("more_body", False)
            self._show(piece)
            if self._whole:
                self._ended()
            if piece:
                return piece
        return None

    async def _next(self) -> Message:
        """The next message; only the time that the client takes counts, none in which the provider holds us up."""
        message = self._mailbox.take() if self._mailbox is not None else None
        if message is not None:
            return message
        limits, loop = self._limits, asyncio.get_running_loop()
        left = limits.body_timeout
        if limits.body_rate:
            left = min(left, left + self._came / limits.body_rate - self._waited)
        began = loop.time()
        try:
            async with asyncio.timeout(left):
                message = await self._receive()
        except TimeoutError:
            raise self._fail(too_slow(limits)) from None
        finally:
            self._waited += loop.time() - began
        return message

    def _show(self, piece: bytes) -> None:
        if self._watch is None:
            return
        try:
            if piece:
                self._watch(piece)
            if self._whole:
                self._watch(b"")
        except GatewayError as refused:
            self._fail(refused)
            raise

    def _fail(self, failure: Exception) -> Exception:
        self.failure = failure
        return failure

    def _spill(self) -> None:
        """Move what is kept in memory into a file that has no name."""
        self._file = tempfile.TemporaryFile(prefix="llmgate-")  # noqa: SIM115 - ``close`` ends it
        for piece in self._kept:
            self._file.write(piece)
        self._kept = []

    def _read_at(self, place: int) -> bytes:
        file = self._file
        if file is None:
            raise InvalidRequestError("the request is over")
        file.seek(place)
        return file.read(PIECE)

    def _too_large(self) -> RequestTooLargeError:
        return RequestTooLargeError(
            f"the request body is larger than {self._limits.max_upload_bytes} bytes (server.max-upload-bytes)"
        )
