"""The embedded provider for trials and tests: it answers with what it was told, without a network.

Everything but the network is real: the adapter builds the request that any OpenAI-compatible vendor would get, and the
transport of its own plays that vendor, with words for tokens. It can be told to be slow or to fail, for all requests by
its config, and for one by options behind the model's name: ``echo?delay=0.2&fail=503``.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import attrs

from llmgate.codecs.jsons import dumps
from llmgate.formats.adapter import FormatAdapter
from llmgate.formats.openai_chat import OpenAIChatFormat
from llmgate.spec import (
    ChatChoice,
    ChatRequest,
    ChatResponse,
    ChoiceDelta,
    Clock,
    FinishReason,
    GatewayChunk,
    InvalidRequestError,
    Message,
    ProviderConnectionError,
    ProviderRequest,
    ProviderResponse,
    ProviderTimeoutError,
    Role,
    StageContext,
    Text,
    Transport,
    Usage,
)

__all__ = ["EchoAdapter", "EchoConfig", "EchoOptions", "EchoStream", "EchoTransport"]

_PIECES: Final = re.compile(r"\s*\S+|\s+\Z")
_BREATH: Final = 64
"""Words after which a stream that waits for nothing lets other tasks run."""


def _between(low: float, high: float) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value is not None and not low <= value <= high:
            raise ValueError(f"{attribute.name.replace('_', '-')} must be between {low:g} and {high:g}")

    return check


@attrs.frozen
class EchoConfig:
    """How the echo provider behaves.

    Args:
        delay: Seconds before the head of each answer.
        word_delay: Seconds between two words of a stream.
        fail: The HTTP status of an error to answer every request with; None to answer.
    """

    delay: float = attrs.field(default=0.0, validator=_between(0, 600))
    word_delay: float = attrs.field(default=0.0, validator=_between(0, 60))
    fail: int | None = attrs.field(default=None, validator=_between(400, 599))


@attrs.frozen
class EchoOptions(EchoConfig):
    """What one request may ask for behind the model's name.

    Args:
        words: Answer with that many words instead of with what was said.
        cut: Break the connection after that many words.
        end: End the stream after that many words without its terminal marker, as a proxy does that gives up.
        error: Send an error event after that many words of a stream.
        retry_after: The ``retry-after`` header of the error that ``fail`` asks for, in seconds.
    """

    words: int | None = attrs.field(default=None, validator=_between(0, 100_000))
    cut: int | None = attrs.field(default=None, validator=_between(0, 100_000))
    end: int | None = attrs.field(default=None, validator=_between(0, 100_000))
    error: int | None = attrs.field(default=None, validator=_between(0, 100_000))
    retry_after: int | None = attrs.field(default=None, validator=_between(0, 86_400))

    @classmethod
    def of(cls, model: str, config: EchoConfig) -> EchoOptions:
        """The options behind a model's name, the config's where it has none.

        Raises:
            InvalidRequestError: an option is not known, or not within its bounds.
        """
        values: dict[str, Any] = attrs.asdict(config)
        known = {field.name.replace("_", "-"): field for field in attrs.fields(cls)}
        try:
            for name, text in parse_qsl(model.partition("?")[2], strict_parsing="?" in model, keep_blank_values=True):
                if name not in known:
                    raise ValueError(f"no option {name!r}, use one of {', '.join(known)}")
                field = known[name]
                values[field.name] = float(text) if field.name.endswith("delay") else int(text)
            return cls(**values)
        except ValueError as error:
            raise InvalidRequestError(f"model {model[:100]!r} of the echo provider: {error}", param="model") from None


class EchoAdapter(FormatAdapter[EchoConfig]):
    """Answers with the last user message, word by word when streamed, and counts words as tokens."""

    name = "echo"
    config_class = EchoConfig

    def make_transport(self, context: StageContext) -> Transport:
        """The transport that plays the vendor."""
        return EchoTransport(self.config, context.clock)


@attrs.frozen(eq=False)
class _Answer:
    """What the vendor has decided to answer."""

    request: ChatRequest
    options: EchoOptions
    pieces: tuple[str, ...]
    finish_reason: FinishReason
    usage: Usage
    id: str
    created: int


class EchoTransport:
    """Plays an OpenAI-compatible vendor in this process; implements ``llmgate.spec.Transport`` without sockets.

    Args:
        config: How it behaves.
        clock: Time.
    """

    def __init__(self, config: EchoConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._format = OpenAIChatFormat()
        self._numbers = itertools.count(1)
        self._closed = False

    async def send(self, request: ProviderRequest) -> ProviderResponse:
        """The whole answer."""
        stream = await self.open_stream(request)
        return ProviderResponse(stream.status, stream.headers, await stream.read())

    async def open_stream(self, request: ProviderRequest) -> EchoStream:
        """The answer's head, after the delay."""
        if self._closed:
            raise ProviderConnectionError("the echo provider is closed", provider_name=request.provider_name)
        number = next(self._numbers)
        headers = {"content-type": "application/json", "x-request-id": f"echo-{number}"}
        try:
            answer = self._answer(self._format.decode_request(request.body or b""), number)
        except InvalidRequestError as error:
            return EchoStream(400, headers, _once(self._format.encode_error(error)))
        options = answer.options
        await self._wait(options.delay, request.timeouts.first_byte, request)
        if options.fail is not None:
            if options.retry_after is not None:
                headers["retry-after"] = str(options.retry_after)
            return EchoStream(options.fail, headers, _once(_failure(options.fail)))
        if answer.request.stream:
            headers["content-type"] = self._format.stream_media_type
            return EchoStream(200, headers, self._stream(answer, request))
        return EchoStream(200, headers, self._whole(answer, request))

    async def aclose(self) -> None:
        """Answer no more."""
        self._closed = True

    def _answer(self, request: ChatRequest, number: int) -> _Answer:
        _refuse_unsupported(request)
        options = EchoOptions.of(request.model, self._config)
        said = next((one.text for one in reversed(request.messages) if one.role is Role.USER), "")
        pieces = tuple(_PIECES.findall(said)) if options.words is None else tuple(_numbered(options.words))
        words = sum(not piece.isspace() for piece in pieces)
        limit = request.max_output_tokens
        finish = FinishReason.STOP
        if limit is not None and limit < words:
            pieces, words, finish = pieces[: max(limit, 0)], max(limit, 0), FinishReason.LENGTH
        asked = sum(len(message.text.split()) for message in request.messages)
        return _Answer(
            request=request,
            options=options,
            pieces=pieces,
            finish_reason=finish,
            usage=Usage(input_tokens=asked, output_tokens=words),
            id=f"chatcmpl-echo-{number}",
            created=int(self._clock.now()),
        )

    async def _whole(self, answer: _Answer, request: ProviderRequest) -> AsyncGenerator[bytes, None]:
        response = ChatResponse(
            id=answer.id,
            model="echo",
            choices=(ChatChoice(0, Message(Role.ASSISTANT, (Text("".join(answer.pieces)),)), answer.finish_reason),),
            usage=answer.usage,
            created=answer.created,
        )
        data = self._format.encode_response(response)
        if answer.options.cut is not None:
            yield data[: len(data) // 2]
            raise _cut(request)
        yield data

    async def _stream(self, answer: _Answer, request: ProviderRequest) -> AsyncGenerator[bytes, None]:
        encoder = self._format.stream_encoder(include_usage=answer.request.include_usage)

        def event(delta: ChoiceDelta | None = None, **more: Any) -> bytes:
            choices = () if delta is None else (delta,)
            return encoder.encode(GatewayChunk(choices, answer.id, "echo", created=answer.created, **more))

        options = answer.options
        ends = [count for count in (options.cut, options.end, options.error) if count is not None]
        yield event(ChoiceDelta(role=Role.ASSISTANT.value))
        for count, piece in enumerate(answer.pieces[: min(ends, default=None)]):
            if options.word_delay and count:
                await self._wait(options.word_delay, request.timeouts.idle, request)
            elif count % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)
            yield event(ChoiceDelta(parts=(Text(piece),)))
        if ends:
            if min(ends) == options.cut:
                raise _cut(request)
            if min(ends) == options.error:
                yield b"data: " + _failure(500) + b"\n\n"
            return
        yield event(ChoiceDelta(finish_reason=answer.finish_reason))
        event(usage=answer.usage)  # the encoder writes it before the terminal marker if it was asked for
        yield event(final=True)

    async def _wait(self, seconds: float, limit: float, request: ProviderRequest) -> None:
        """Wait, but not longer than the request does."""
        if seconds <= 0:
            return
        await self._clock.sleep(min(seconds, limit))
        if seconds > limit:
            raise ProviderTimeoutError(
                f"provider {request.provider_name!r} sent nothing for {limit:g} s",
                provider_name=request.provider_name,
                retryable=True,
            )


class EchoStream:
    """An answer of the echo provider whose body is still coming; implements ``llmgate.spec.ProviderStream``."""

    def __init__(self, status: int, headers: Mapping[str, str], pieces: AsyncGenerator[bytes, None]) -> None:
        self.status = status
        self.headers = headers
        self._pieces = pieces
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body in pieces, one for each event."""
        return self

    async def __anext__(self) -> bytes:
        """The next piece; none once it has been closed."""
        if self._closed:
            raise StopAsyncIteration
        return await anext(self._pieces)

    async def read(self) -> bytes:
        """All that is left of the body."""
        return b"".join([piece async for piece in self])

    async def aclose(self) -> None:
        """Close it. Idempotent."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(RuntimeError):  # another task waits in it, and is about to be cancelled
                await self._pieces.aclose()


def _refuse_unsupported(request: ChatRequest) -> None:
    """Refuse what would change the answer's meaning; tools may be offered, echo never calls one."""
    if request.choice_count not in (None, 1):
        raise InvalidRequestError("the echo provider gives one answer: leave n out", param="n")
    if request.tool_choice is not None and request.tool_choice.mode in ("required", "named"):
        raise InvalidRequestError("the echo provider calls no tools: leave tool_choice out", param="tool_choice")
    if request.output_format is not None and request.output_format.type != "text":
        raise InvalidRequestError(
            "the echo provider writes no JSON: leave response_format out", param="response_format"
        )


def _numbered(count: int) -> Iterator[str]:
    """So many words."""
    return (f"{' ' if number else ''}word{number}" for number in range(count))


def _failure(status: int) -> bytes:
    message = f"the echo provider was told to fail with {status}"
    kind = "rate_limit_error" if status == 429 else "server_error" if status >= 500 else "invalid_request_error"
    return dumps({"error": {"message": message, "type": kind, "param": None, "code": "told_to_fail"}})


def _cut(request: ProviderRequest) -> ProviderConnectionError:
    name = request.provider_name
    return ProviderConnectionError(f"provider {name!r} broke the connection", provider_name=name, retryable=True)


async def _once(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data
