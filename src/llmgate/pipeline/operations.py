"""The methods of a Pipeline for what is beside chat: images, speech, transcripts, moderations, rankings.

They take OpenAI's own keyword arguments (Cohere's for rankings) and go the way of every request.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, TypeAlias

import attrs

from llmgate.codecs import jsons
from llmgate.codecs.multipart import Form, FormScanner, boundary_of, encode_form
from llmgate.formats import get_format, read_request
from llmgate.formats.carried import FORM_FIELDS, CarriedFormat, read_form_request
from llmgate.spec import (
    Clock,
    ControlsLike,
    Credentials,
    GatewayRequest,
    GatewayResponse,
    HeldUpload,
    InvalidRequestError,
    Operation,
    Principal,
    Record,
    Usage,
)

from .completion import Completion, Embeddings, ResponseStream
from .frame import ExchangeFrame

__all__ = ["Carried", "FileInput", "Operations", "as_body", "presented", "read_file"]

FileInput: TypeAlias = "bytes | os.PathLike[str] | IO[bytes] | tuple[str, bytes] | tuple[str, bytes, str]"
"""A file: its bytes, its path, an open file, or a tuple of name, bytes and content type."""

_UNNAMED = "application/octet-stream"


@attrs.frozen(eq=False)
class Carried:
    """The answer to one of these operations.

    Args:
        content: Its body: JSON, text, or bytes such as speech.
        media_type: What it is.
        exchange: The account of the exchange.
    """

    content: bytes = attrs.field(repr=False)
    media_type: str
    exchange: Record = attrs.field(repr=False)

    @property
    def value(self) -> dict[str, Any]:
        """The answer as parsed JSON.

        Raises:
            ValueError: it is not JSON.
        """
        value: dict[str, Any] = jsons.loads(self.content)
        return value

    @property
    def text(self) -> str:
        """The text of a transcript or a translation, however it came."""
        if self.media_type.partition(";")[0].strip().lower() != "application/json":
            return self.content.decode("utf-8", "replace")
        return str(self.value.get("text", ""))

    @property
    def model(self) -> str | None:
        """The model that answered, where the provider says."""
        return self.exchange.response_model

    @property
    def usage(self) -> Usage | None:
        """What it took, None when the provider did not say."""
        return self.exchange.usage


class Operations(ABC):
    """What a Pipeline does beside chat. Each method takes the arguments of ``Pipeline.complete`` that say who asks."""

    clock: Clock

    @abstractmethod
    def exchange(
        self,
        *,
        operation: Operation = Operation.CHAT,
        credentials: Credentials | None = None,
        principal: Principal | None = None,
        surface: str = "in-process",
        client_address: str = "",
        client_request_id: str | None = None,
        controls: ControlsLike | None = None,
    ) -> ExchangeFrame:
        """The one door."""

    async def respond(
        self,
        *,
        router: str | None = None,
        timeout: float | None = None,
        metadata: Mapping[str, str] | None = None,
        max_retries: int | None = None,
        credentials: Credentials | None = None,
        api_key: str | None = None,
        principal: Principal | None = None,
        controls: ControlsLike | None = None,
        **fields: Any,
    ) -> Completion:
        """Ask for a whole answer as OpenAI's Responses have it; arguments as for ``complete``.

        Args:
            router: The router to use; None for the unified API.
            timeout: Seconds to wait in all; None for the configured total.
            metadata: Labels for the record, not sent upstream; OpenAI's field of that name goes by ``extra_body``.
            max_retries: Repeats; None for the configured number.
            credentials: What the caller presents, to be judged by the auth providers.
            api_key: The same, as one bearer token.
            principal: Who asks, where the application knows.
            controls: What else is wanted, as for ``complete``.
            **fields: ``model=``, ``input=`` and whatever else OpenAI's Responses take.

        Returns:
            The answer: ``raw`` is the response object, the rest is as for ``complete``.

        Raises:
            GatewayError: why there is no answer.
        """
        frame = self.exchange(credentials=presented(credentials, api_key), principal=principal, controls=controls)
        async with frame:
            request = self._response_request(fields, router, timeout, metadata, max_retries, stream=False)
            response = await frame.send(request)
        return Completion(response, frame.exchange)

    def stream_response(
        self,
        *,
        router: str | None = None,
        timeout: float | None = None,
        metadata: Mapping[str, str] | None = None,
        max_retries: int | None = None,
        credentials: Credentials | None = None,
        api_key: str | None = None,
        principal: Principal | None = None,
        controls: ControlsLike | None = None,
        **fields: Any,
    ) -> ResponseStream:
        """Ask for a streamed answer of OpenAI's Responses: ``async with pipeline.stream_response(...) as events``.

        The arguments are those of ``respond``. What is iterated are OpenAI's own events as parsed JSON, whatever format
        the provider speaks; the rest is as for ``stream``.
        """
        return ResponseStream(
            lambda: self.exchange(credentials=presented(credentials, api_key), principal=principal, controls=controls),
            lambda: self._response_request(fields, router, timeout, metadata, max_retries, stream=True),
        )

    async def embed(
        self,
        *,
        router: str | None = None,
        timeout: float | None = None,
        metadata: Mapping[str, str] | None = None,
        max_retries: int | None = None,
        credentials: Credentials | None = None,
        api_key: str | None = None,
        principal: Principal | None = None,
        controls: ControlsLike | None = None,
        **fields: Any,
    ) -> Embeddings:
        """Ask for embeddings; arguments as for ``complete``, with ``model=`` and ``input=`` as OpenAI has them.

        Raises:
            GatewayError: why there is no answer.
        """
        if "model" not in fields or "input" not in fields:
            raise TypeError("embeddings need model= and input=")
        frame = self.exchange(
            operation=Operation.EMBEDDINGS,
            credentials=presented(credentials, api_key),
            principal=principal,
            controls=controls,
        )
        async with frame:
            request = read_request(
                get_format("openai-embeddings"),
                as_body(fields),
                router=router,
                metadata=metadata,
                deadline=None if timeout is None else self.clock.monotonic() + timeout,
                max_retries=max_retries,
            )
            response = await frame.send(request)
        return Embeddings(response, frame.record)

    async def generate_images(self, **fields: Any) -> Carried:
        """Ask for images; ``prompt=``, ``model=`` and whatever else OpenAI's image generations take.

        Raises:
            GatewayError: why there is no answer.
        """
        return await self._carry("openai-images", fields)

    async def edit_image(self, *, image: FileInput, mask: FileInput | None = None, **fields: Any) -> Carried:
        """Ask for an image made of another; ``prompt=``, ``model=`` and whatever else OpenAI's image edits take.

        Args:
            image: The image.
            mask: Where it is to be changed; None for anywhere.
            **fields: The rest.

        Raises:
            GatewayError: why there is no answer.
        """
        return await self._carry("openai-image-edits", fields, {"image": image, "mask": mask})

    async def vary_image(self, *, image: FileInput, **fields: Any) -> Carried:
        """Ask for variations of an image.

        Args:
            image: The image.
            **fields: ``model=`` and whatever else OpenAI's image variations take.

        Raises:
            GatewayError: why there is no answer.
        """
        return await self._carry("openai-image-variations", fields, {"image": image})

    async def speak(self, **fields: Any) -> Carried:
        """Ask for speech; ``input=``, ``voice=``, ``model=`` as OpenAI has them. ``content`` is the sound.

        Raises:
            GatewayError: why there is no answer.
        """
        return await self._carry("openai-speech", fields)

    async def transcribe(self, *, file: FileInput, **fields: Any) -> Carried:
        """Ask for the text of a recording.

        Args:
            file: The recording.
            **fields: ``model=`` and whatever else OpenAI's transcriptions take.

        Raises:
            GatewayError: why there is no answer.
        """
        return await self._carry("openai-transcriptions", fields, {"file": file})

    async def translate(self, *, file: FileInput, **fields: Any) -> Carried:
        """Ask for the English text of a recording; see ``transcribe``."""
        return await self._carry("openai-translations", fields, {"file": file})

    async def moderate(self, **fields: Any) -> Carried:
        """Ask whether something is harmful; ``input=`` and, if wanted, ``model=`` as OpenAI has them.

        Raises:
            GatewayError: why there is no answer.
        """
        return await self._carry("openai-moderations", fields)

    async def rerank(self, **fields: Any) -> Carried:
        """Ask for documents in the order in which they fit; ``query=``, ``documents=``, ``model=`` as Cohere has them.

        Raises:
            GatewayError: why there is no answer.
        """
        return await self._carry("rerank", fields)

    def _response_request(
        self,
        fields: Mapping[str, Any],
        router: str | None,
        timeout: float | None,
        metadata: Mapping[str, str] | None,
        max_retries: int | None,
        *,
        stream: bool,
    ) -> GatewayRequest:
        if "model" not in fields:
            raise TypeError("a response needs model=, and input= or what stands for it")
        if fields.get("stream", stream) is not stream:
            raise TypeError(
                "use pipeline.stream_response(...) for a stream and pipeline.respond(...) for a whole answer"
            )
        return read_request(
            get_format("openai-responses"),
            as_body({**fields, "stream": True} if stream else fields),
            router=router,
            metadata=metadata,
            deadline=None if timeout is None else self.clock.monotonic() + timeout,
            max_retries=max_retries,
        )

    async def _carry(
        self, name: str, given: Mapping[str, Any], files: Mapping[str, FileInput | None] | None = None
    ) -> Carried:
        wire_format = get_format(name)
        assert isinstance(wire_format, CarriedFormat), "one of those above"
        fields = {**given, **given.get("extra_body", {})}
        fields.pop("extra_body", None)
        api_key, credentials = fields.pop("api_key", None), fields.pop("credentials", None)
        frame = self.exchange(
            operation=wire_format.operation,
            credentials=Credentials.of(api_key) if api_key is not None else credentials,
            principal=fields.pop("principal", None),
            controls=fields.pop("controls", None),
        )
        async with frame:
            if files is None:
                request = self._request_for(wire_format, fields, None)
            else:  # in a thread, since files are read there
                request = await asyncio.to_thread(self._request_for, wire_format, fields, files)
            answered = await frame.carry(request)
            if isinstance(answered, GatewayResponse):
                content, media_type = answered.body, answered.media_type
            else:
                content = b"".join([piece async for piece in answered])
                said = answered.headers.get("content-type", _UNNAMED)
                media_type = wire_format.stream_media_type if answered.events else said
        return Carried(content, media_type, frame.record)

    def _request_for(
        self, wire_format: CarriedFormat, fields: dict[str, Any], files: Mapping[str, FileInput | None] | None
    ) -> GatewayRequest:
        timeout = fields.pop("timeout", None)
        options: dict[str, Any] = {
            "router": fields.pop("router", None),
            "metadata": fields.pop("metadata", None),
            "deadline": None if timeout is None else self.clock.monotonic() + timeout,
            "max_retries": fields.pop("max_retries", None),
        }
        if files is not None:
            return read_form_request(wire_format, _form_of(fields, files), **options)
        return read_request(wire_format, as_body(fields), **options)


def _form_of(fields: Mapping[str, Any], files: Mapping[str, FileInput | None]) -> Form:
    boundary = f"llmgate-{uuid.uuid4().hex}"
    texts: dict[str, str | list[str]] = {}
    for name, value in fields.items():
        if isinstance(value, list | tuple):
            texts[f"{name}[]"] = [_text(one) for one in value]
        elif value is not None:
            texts[name] = _text(value)
    parts = [(name, *read_file(name, one)) for name, one in files.items() if one is not None]
    upload = HeldUpload(encode_form(texts, parts, boundary), f"multipart/form-data; boundary={boundary}")
    scanner = FormScanner(boundary_of(upload.media_type), FORM_FIELDS)
    scanner.feed(upload.data)
    return Form(upload, boundary.encode("ascii"), scanner.fields)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else jsons.dumps(value).decode()


def read_file(name: str, given: FileInput) -> tuple[str, bytes, str]:
    """Name, bytes and content type of a file; ``name`` where it has none of its own."""
    if isinstance(given, tuple):
        return given[0], given[1], given[2] if len(given) > 2 else _UNNAMED
    if isinstance(given, bytes):
        return name, given, _UNNAMED
    if isinstance(given, os.PathLike):
        path = Path(given)
        return path.name, path.read_bytes(), _UNNAMED
    return Path(str(getattr(given, "name", name))).name, given.read(), _UNNAMED


def presented(credentials: Credentials | None, api_key: str | None) -> Credentials | None:
    """What a caller in process presents."""
    return Credentials.of(api_key) if api_key is not None else credentials


def as_body(fields: Mapping[str, Any]) -> bytes:
    """Keyword arguments as a request body; ``extra_body`` holds fields that are sent as they are.

    Raises:
        InvalidRequestError: they cannot be written as JSON.
    """
    body = {**fields, **fields.get("extra_body", {})}
    body.pop("extra_body", None)
    try:
        return jsons.dumps(body)
    except (TypeError, ValueError) as failure:
        raise InvalidRequestError(f"the arguments cannot be written as JSON: {failure}") from None
