"""Files and batches in process: at the provider that has them, through every stage, ids unchanged."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from llmgate.catalogue.relaying import map_path
from llmgate.codecs.multipart import encode_form
from llmgate.spec import (
    Credentials,
    GatewayRequest,
    HeldUpload,
    InvalidRequestError,
    Operation,
    Provider,
    ProviderError,
    RelayTarget,
    Upload,
)

from .holders import find_holder
from .operations import Carried, FileInput, Operations, as_body, read_file

__all__ = ["Holdings"]

_OPTIONS = ("router", "provider", "family", "timeout", "metadata", "credentials", "api_key", "principal", "controls")


class Holdings(Operations):
    """What a Pipeline does with files and batches.

    Each method takes the arguments of ``Pipeline.complete`` that say who asks, and ``provider=``, who is meant where
    several providers have files; ``family="anthropic"`` means those of Anthropic's. All callers who share a
    provider's credential share its files.
    """

    async def upload_file(self, *, file: FileInput, purpose: str, **fields: Any) -> Carried:
        """Give a provider a file to keep.

        Args:
            file: The file.
            purpose: What for, as the provider calls it: ``batch``, ``user_data``.
            **fields: Whatever else OpenAI's upload takes.

        Raises:
            GatewayError: why it is not kept.
        """
        options, rest = _apart(fields)
        upload = await asyncio.to_thread(_form, "file", file, {"purpose": purpose, **rest})
        return await self._ask(Operation.FILES, "POST", "files", options, upload=upload)

    async def list_files(self, **fields: Any) -> Carried:
        """The files that a provider keeps; ``limit=``, ``after=`` and whatever else its list takes."""
        options, query = _apart(fields)
        return await self._ask(Operation.FILES, "GET", "files", options, query)

    async def retrieve_file(self, file_id: str, **options: Any) -> Carried:
        """What a provider says of a file."""
        return await self._ask(Operation.FILES, "GET", f"files/{_segment(file_id)}", options)

    async def file_content(self, file_id: str, **options: Any) -> Carried:
        """What is in a file."""
        return await self._ask(Operation.FILES, "GET", f"files/{_segment(file_id)}/content", options)

    async def delete_file(self, file_id: str, **options: Any) -> Carried:
        """Have a provider forget a file."""
        return await self._ask(Operation.FILES, "DELETE", f"files/{_segment(file_id)}", options)

    async def create_upload(self, **fields: Any) -> Carried:
        """Begin a file in parts; ``filename=``, ``bytes=``, ``mime_type=`` and ``purpose=`` as OpenAI has them."""
        options, body = _apart(fields)
        return await self._ask(Operation.FILES, "POST", "uploads", options, body=as_body(body))

    async def add_upload_part(self, upload_id: str, *, data: FileInput, **options: Any) -> Carried:
        """Give the next part of a file.

        Args:
            upload_id: The upload.
            data: The part.
            **options: Who asks, and whom.

        Raises:
            GatewayError: why it is not kept.
        """
        upload = await asyncio.to_thread(_form, "data", data, {})
        return await self._ask(Operation.FILES, "POST", f"uploads/{_segment(upload_id)}/parts", options, upload=upload)

    async def complete_upload(self, upload_id: str, **fields: Any) -> Carried:
        """Make a file of its parts; ``part_ids=`` in their order, and whatever else OpenAI takes."""
        options, body = _apart(fields)
        path = f"uploads/{_segment(upload_id)}/complete"
        return await self._ask(Operation.FILES, "POST", path, options, body=as_body(body))

    async def cancel_upload(self, upload_id: str, **options: Any) -> Carried:
        """Give up a file that comes in parts."""
        return await self._ask(Operation.FILES, "POST", f"uploads/{_segment(upload_id)}/cancel", options)

    async def create_batch(self, **fields: Any) -> Carried:
        """Have requests made together; the fields are those of the provider's own batches."""
        options, body = _apart(fields)
        return await self._ask(Operation.BATCHES, "POST", _batches(options), options, body=as_body(body))

    async def list_batches(self, **fields: Any) -> Carried:
        """The batches of a provider; ``limit=``, ``after=`` and whatever else its list takes."""
        options, query = _apart(fields)
        return await self._ask(Operation.BATCHES, "GET", _batches(options), options, query)

    async def retrieve_batch(self, batch_id: str, **options: Any) -> Carried:
        """How far a batch is."""
        return await self._ask(Operation.BATCHES, "GET", f"{_batches(options)}/{_segment(batch_id)}", options)

    async def cancel_batch(self, batch_id: str, **options: Any) -> Carried:
        """Stop a batch."""
        path = f"{_batches(options)}/{_segment(batch_id)}/cancel"
        return await self._ask(Operation.BATCHES, "POST", path, options)

    async def _ask(
        self,
        operation: Operation,
        method: str,
        path: str,
        options: Mapping[str, Any],
        query: Mapping[str, Any] | None = None,
        *,
        body: bytes = b"",
        upload: Upload | None = None,
    ) -> Carried:
        """Send a request to the provider that is meant, and read its whole answer.

        Raises:
            ProviderError: the provider answers with an error; ``body`` is its own.
            GatewayError: it cannot be asked.
        """
        unknown = options.keys() - set(_OPTIONS)
        if unknown:
            raise TypeError(f"{', '.join(sorted(unknown))}: no such argument")
        api_key, timeout = options.get("api_key"), options.get("timeout")
        frame = self.exchange(
            operation=operation,
            credentials=Credentials.of(api_key) if api_key is not None else options.get("credentials"),
            principal=options.get("principal"),
            controls=options.get("controls"),
        )
        async with frame:
            router, family = options.get("router"), options.get("family", "openai")
            provider = find_holder(frame.snapshot, router, options.get("provider"), operation, family)
            target = _target(provider, method, path)
            request = GatewayRequest(
                operation=operation,
                format="",
                body=body,
                upload=upload,
                model="",
                stream=False,
                router=router,
                headers={"content-type": "application/json"} if body else _headers(upload),
                metadata=options.get("metadata") or {},
                relay=RelayTarget(method, f"{target}?{urlencode(query)}" if query else target),
                deadline=None if timeout is None else self.clock.monotonic() + timeout,
            )
            answer = await frame.relay(provider.name, request)
            content = b"".join([piece async for piece in answer])
            if answer.status >= 400:
                raise frame.failed(_refusal(provider.name, answer.status, content))
            media_type = answer.headers.get("content-type", "application/octet-stream")
        return Carried(content, media_type, frame.record)


def _target(provider: Provider, method: str, path: str) -> str:
    try:
        return map_path(provider, method, path).path
    except ValueError as error:
        raise InvalidRequestError(f"no such id: {error}", param="id") from None


def _refusal(provider_name: str, status: int, content: bytes) -> ProviderError:
    return ProviderError(
        f"provider {provider_name!r} answered {status}: {content[:300].decode('utf-8', 'replace')}",
        provider_name=provider_name,
        upstream_status=status,
        body=content,
    )


def _apart(fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What says who asks whom, and what is asked."""
    options = {name: value for name, value in fields.items() if name in _OPTIONS}
    return options, {name: value for name, value in fields.items() if name not in _OPTIONS}


def _batches(options: Mapping[str, Any]) -> str:
    return "messages/batches" if options.get("family") == "anthropic" else "batches"


def _segment(name: str) -> str:
    """An id as one segment of a path.

    Raises:
        InvalidRequestError: it would lead to another place.
    """
    if name in ("", ".", "..") or not name.isprintable():
        raise InvalidRequestError("an id holds letters, digits and signs only", param="id")
    return quote(name, safe="")


def _form(name: str, file: FileInput, fields: Mapping[str, Any]) -> HeldUpload:
    boundary = f"llmgate-{uuid.uuid4().hex}"
    texts = {name: str(value) for name, value in fields.items() if value is not None}
    data = encode_form(texts, [(name, *read_file(name, file))], boundary)
    return HeldUpload(data, f"multipart/form-data; boundary={boundary}")


def _headers(upload: Upload | None) -> dict[str, str]:
    return {} if upload is None else {"content-type": upload.media_type}
