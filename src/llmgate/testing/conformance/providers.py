"""What every provider adapter promises.

A test of an adapter is a subclass of ``ProviderConformance`` with a few properties::

    class TestAcme(ProviderConformance):
        stage_class = AcmeAdapter
        golden = Path(__file__).parents[1] / "golden" / "acme"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from llmgate.formats import get_format
from llmgate.spec import (
    AttemptCall,
    ChatChoice,
    ChatRequest,
    ChatResponse,
    ChoiceDelta,
    Deployment,
    FinishReason,
    Format,
    GatewayChunk,
    GatewayError,
    InvalidRequestError,
    Message,
    Operation,
    Provider,
    ProviderAuthenticationError,
    ProviderError,
    ProviderProtocolError,
    ProviderRateLimitError,
    ProviderResponse,
    ProviderRow,
    RelayBody,
    Role,
    Secret,
    SecretRef,
    StreamReader,
    Text,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from llmgate.testing.corpus import chat_corpus
from llmgate.testing.golden import assert_golden, describe_request

from .base import StageConformance, nothing_opened

__all__ = ["ProviderConformance"]

_KEY = "sk-conformance-0123456789abcdef"
_OTHER_KEY = "sk-conformance-another-credential"
_NOW = 1_700_000_000.0
_LATER = {400: False, 401: True, 402: True, 403: True, 404: True, 408: True, 409: True, 413: False, 422: False,
          429: True, 500: True, 502: True, 503: True, 504: True, 529: True}  # fmt: skip
"""For each status, whether another attempt may succeed."""

_BODIES: Mapping[str, tuple[str, bytes | None]] = {
    "json": ("application/json", None),
    "html": ("text/html; charset=utf-8", b"<html><body><h1>Bad gateway</h1>" + _KEY.encode() + b"</body></html>"),
    "text": ("text/plain", b"upstream connect error"),
    "empty": ("application/json", b""),
    "garbage": ("application/json", b'{"error": {"mess'),
    "bytes": ("application/json", b"\xff\xfe\x00"),
}
"""Error bodies by kind: their media type and bytes; None is the wire format's own."""

_CALL = ToolCall(id="call_1", name="weather", arguments='{"city": "Zürich"}')
_USAGE = Usage(input_tokens=12, output_tokens=7)
_ANSWER = ChatResponse(
    id="answer-1",
    model="model-1",
    choices=(ChatChoice(0, Message(Role.ASSISTANT, (Text("Hällo 👋"), _CALL)), FinishReason.TOOL_CALLS),),
    usage=_USAGE,
    created=1_700_000_000,
)
_CHUNKS = (
    GatewayChunk((ChoiceDelta(role="assistant"),)),
    GatewayChunk((ChoiceDelta(parts=(Text("Häl"),)),)),
    GatewayChunk((ChoiceDelta(parts=(Text("lo 👋"),)),)),
    GatewayChunk((ChoiceDelta(tool_calls=(ToolCallDelta(0, "call_1", "weather", '{"city"'),)),)),
    GatewayChunk((ChoiceDelta(tool_calls=(ToolCallDelta(0, arguments=': "Zürich"}'),)),)),
    GatewayChunk((ChoiceDelta(finish_reason=FinishReason.TOOL_CALLS),)),
    GatewayChunk(usage=_USAGE),
    GatewayChunk(final=True),
)


class ProviderConformance(StageConformance):
    """The part of the kit for provider adapters.

    Attributes:
        row: The row of the vendor; the default is a vendor that speaks ``wire_format`` and wants a bearer token.
        wire_format: The wire format that is spoken to the vendor.
        golden: The folder of the golden request files, one for each request of the corpus.
        model: The model that is asked for.
        refuses: Requests of the corpus for which the vendor has no counterpart: they must be refused.
        keyless: Whether it works without a credential; otherwise a request without one must be refused.
    """

    kind = "providers"
    row: ClassVar[ProviderRow | None] = None
    wire_format: ClassVar[str] = "openai-chat"
    golden: ClassVar[Path]
    model: ClassVar[str] = "model-1"
    refuses: ClassVar[frozenset[str]] = frozenset()
    keyless: ClassVar[bool] = False
    secrets: ClassVar[Mapping[str, str]] = {"env:CONFORMANCE_KEY": _KEY}

    # What a subclass may override.

    def make_row(self) -> ProviderRow:
        """The vendor's row."""
        return self.row or ProviderRow(
            name="vendor",
            title="Vendor",
            base_url="https://vendor.invalid/v1",
            formats={self.wire_format: "/chat/completions"},
            key_variables=("VENDOR_API_KEY",),
            keyless=self.keyless,
        )

    def make_call(
        self,
        body: RelayBody | ChatRequest | None = None,
        *,
        key: str | None = _KEY,
        stream: bool = False,
        headers: Mapping[str, str] | None = None,
        withhold_usage: bool = False,
    ) -> AttemptCall:
        """A call of the adapter.

        Args:
            body: What is sent; None for the simplest request of the corpus.
            key: The credential; None for none.
            stream: Whether a stream is asked for.
            headers: Client headers.
            withhold_usage: Whether the usage-only event is the gateway's.
        """
        row = self.make_row()
        secret = None if key is None or self.keyless else Secret(value=key, ref=SecretRef("env", "CONFORMANCE_KEY"))
        provider = Provider(
            name=row.name,
            row=row,
            base_url=row.base_url or "https://vendor.invalid/v1",
            secret=None if self.keyless else SecretRef("env", "CONFORMANCE_KEY"),
        )
        return AttemptCall(
            operation=Operation.CHAT,
            deployment=Deployment(f"{row.name}/{self.model}", provider, self.model),
            format=get_format(self.wire_format),
            body=RelayBody(chat_corpus()["text"]) if body is None else body,
            stream=stream,
            secret=secret,
            headers=headers or {},
            withhold_usage=withhold_usage,
            now=_NOW,
        )

    def corpus_call(self, name: str, key: str = _KEY) -> AttemptCall:
        """A call with a request of the corpus, in canonical form."""
        chat = get_format("openai-chat").decode_request(chat_corpus()[name])
        return self.make_call(chat, stream=chat.stream, key=key)

    # The tests: requests.

    @pytest.mark.parametrize("name", chat_corpus())
    def test_writes_the_corpus(self, name: str, update_golden: bool) -> None:
        """Each request of the corpus becomes the golden one, or is refused where the vendor cannot serve it."""
        adapter = self.make_stage()
        if name in self.refuses:
            with pytest.raises(InvalidRequestError) as caught:
                adapter.build_request(self.corpus_call(name))
            assert caught.value.param, "say which field is to blame"
            return
        request = adapter.build_request(self.corpus_call(name))
        assert_golden(self.golden / f"{name}.json", describe_request(request, secret=_KEY), update=update_golden)

    @pytest.mark.parametrize("name", chat_corpus())
    def test_same_call_same_bytes(self, name: str) -> None:
        """Building twice, by two instances, gives the same request, or the same refusal: caches depend on it."""
        if name in self.refuses:
            refusals = set()
            for _ in range(2):
                with pytest.raises(InvalidRequestError) as caught:
                    self.make_stage().build_request(self.corpus_call(name))
                refusals.add((caught.value.message, caught.value.code, caught.value.param))
            assert len(refusals) == 1
            return
        once, twice = (self.make_stage().build_request(self.corpus_call(name)) for _ in range(2))
        assert (once.url, dict(once.headers), once.body) == (twice.url, dict(twice.headers), twice.body)

    def test_building_does_no_io(self) -> None:
        """Neither building nor reading opens anything: adapters are pure."""
        adapter, call = self.make_stage(), self.make_call()
        answer = ProviderResponse(200, {}, call.format.encode_response(_ANSWER))
        with nothing_opened():
            adapter.build_request(call)
            adapter.parse_response(call, answer)
            adapter.parse_error(call, ProviderResponse(500, {}, b""))
            adapter.stream_reader(call)

    def test_relays_a_body_as_it_is(self) -> None:
        """A body in the vendor's own format goes out byte for byte."""
        data = b' {"model" : "m\\u006f", "messages":[] , "unknown":1.50}\n'
        assert self.make_stage().build_request(self.make_call(RelayBody(data))).body == data

    def test_goes_where_the_row_says(self) -> None:
        """The request leaves for the provider's own origin, whatever the client has written."""
        call = self.make_call(headers={"host": "evil.invalid", "x-forwarded-host": "evil.invalid"})
        request = self.make_stage().build_request(call)
        base_url = call.deployment.provider.base_url
        assert request.origin, "set the origin, so that the transport can hold to it"
        assert base_url.startswith(request.origin)
        assert request.url.startswith(f"{request.origin}/")
        assert request.provider_name == call.deployment.provider_name
        assert request.timeouts == call.deployment.provider.timeouts

    def test_headers_can_be_sent(self) -> None:
        """Header names are lower case and values are printable ASCII."""
        for name in sorted(chat_corpus().keys() - self.refuses):
            for header, value in self.make_stage().build_request(self.corpus_call(name)).headers.items():
                assert header == header.lower()
                assert value.isascii()
                assert value.isprintable()

    # The tests: credentials.

    def test_presents_the_credential(self) -> None:
        """The credential is in the headers, and nowhere else; a keyless provider sends none."""
        request = self.make_stage().build_request(self.make_call())
        in_headers = any(_KEY in value for value in request.headers.values())
        assert in_headers is not self.keyless
        assert _KEY not in request.url
        assert _KEY.encode() not in (request.body or b"")

    def test_sends_nothing_without_the_credential(self) -> None:
        """A provider that wants a credential is never asked without one."""
        call = self.make_call(key=None)
        if self.keyless:
            assert self.make_stage().build_request(call).body
            return
        with pytest.raises(GatewayError) as caught:
            self.make_stage().build_request(call)
        assert call.deployment.provider_name in str(caught.value), "name the provider"

    def test_client_headers_do_not_replace_the_credential(self) -> None:
        """Whatever header the client sends, the vendor gets the gateway's credential."""
        plain = self.make_stage().build_request(self.make_call())
        mine = dict.fromkeys(plain.headers, "client")
        request = self.make_stage().build_request(self.make_call(headers=mine))
        for name, value in plain.headers.items():
            if _KEY in value or name == "content-type":
                assert request.headers[name] == value

    def test_credentials_share_no_connections(self) -> None:
        """Each credential has a pool of its own, whose name tells nothing of it; without one there is one pool."""
        pools = [self.make_stage().build_request(self.make_call(key=key)).pool for key in (_KEY, _OTHER_KEY)]
        assert len(set(pools)) == (1 if self.keyless else 2)
        assert not any(_KEY in pool or _OTHER_KEY in pool for pool in pools)

    @pytest.mark.parametrize("key", ["", "line\r\nx-evil: 1", "nul\x00", "snowman ☃"])
    def test_refuses_a_credential_that_no_header_can_carry(self, key: str) -> None:
        """A credential with line ends in it is refused, not sent and not shown; a keyless provider asks for none."""
        if self.keyless:
            request = self.make_stage().build_request(self.make_call(key=key))
            assert not key or not any(key in value for value in request.headers.values())
            return
        with pytest.raises(GatewayError) as caught:
            self.make_stage().build_request(self.make_call(key=key))
        assert not key or key not in str(caught.value)

    def test_shows_the_credential_nowhere(self) -> None:
        """Neither the call nor the request shows the credential in its ``repr``."""
        call = self.make_call()
        request = self.make_stage().build_request(call)
        assert _KEY not in f"{call!r} {request!r} {call} {request}"

    # The tests: whole answers.

    def test_reads_a_whole_answer(self) -> None:
        """Usage, finish reason and model are seen; the body stays as it came."""
        call = self.make_call()
        body = call.format.encode_response(_ANSWER)
        response = self.make_stage().parse_response(call, ProviderResponse(200, _hostile_headers(), body))
        assert response.body == body
        assert response.format == self.wire_format
        assert response.outcome.usage == _USAGE
        assert response.outcome.finish_reason is FinishReason.TOOL_CALLS
        assert response.outcome.complete
        assert response.outcome.content
        assert response.chat.text == "Hällo 👋"
        assert response.chat.tool_calls == (_CALL,)
        assert response.headers.keys() <= call.format.response_headers

    @pytest.mark.parametrize(
        "body", [b"", b"<html></html>", b"[]", b"null", b'{"id": "x"', b"{}", b"\xff", b"[" * 99_999]
    )
    def test_refuses_an_answer_that_is_none(self, body: bytes) -> None:
        """Garbage behind a success status is a protocol error of the provider."""
        call = self.make_call()
        with pytest.raises(ProviderProtocolError) as caught:
            self.make_stage().parse_response(call, ProviderResponse(200, {}, body))
        assert caught.value.http_status == 502
        assert caught.value.provider_name == call.deployment.provider_name

    def test_sees_an_error_inside_a_success(self) -> None:
        """An error body with status 200 is an error."""
        call = self.make_call()
        body = call.format.encode_error(InvalidRequestError("something is wrong"))
        with pytest.raises(ProviderError, match="something is wrong"):
            self.make_stage().parse_response(call, ProviderResponse(200, {}, body))

    # The tests: errors.

    @pytest.mark.parametrize("kind", _BODIES)
    @pytest.mark.parametrize("status", _LATER)
    def test_reads_errors(self, status: int, kind: str) -> None:
        """Every status with every kind of body becomes the right error and shows no credential."""
        call = self.make_call()
        media_type, body = _BODIES[kind]
        if body is None:
            body = call.format.encode_error(InvalidRequestError(f"the words of the vendor about {_KEY}"))
        headers = {**_hostile_headers(), "content-type": media_type}
        error = self.make_stage().parse_error(call, ProviderResponse(status, headers, body))
        assert isinstance(error, ProviderError)
        assert error.retryable is _LATER[status]
        assert error.provider_name == call.deployment.provider_name
        assert error.upstream_status == status
        assert error.headers.keys() <= call.format.response_headers
        assert isinstance(error, ProviderAuthenticationError) is (status in (401, 403))
        assert isinstance(error, ProviderRateLimitError) is (status == 429)
        assert error.http_status == (502 if status in (401, 403) else status)
        if not self.keyless:
            assert _KEY not in f"{error} {error!r} {error.body!r} {dict(error.headers)}"
        if status in (401, 403):
            assert error.body is None
            assert "words of the vendor" not in str(error), "a vendor's 401 shows fragments of the key"

    def test_keeps_the_error_body_of_the_vendor(self) -> None:
        """A caller that speaks the same format gets the vendor's own words; HTML is nobody's format."""
        call = self.make_call()
        body = call.format.encode_error(InvalidRequestError("max_tokens is too large", param="max_tokens"))
        error = self.make_stage().parse_error(call, ProviderResponse(400, {"content-type": "application/json"}, body))
        assert error.body == body
        assert "max_tokens is too large" in str(error)
        page = ProviderResponse(500, {"content-type": "text/html"}, b"<html><script>alert(1)</script></html>")
        error = self.make_stage().parse_error(call, page)
        assert error.body is None
        assert "<script" not in str(error)

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_follows_no_redirect(self, status: int) -> None:
        """A redirect is a protocol error and its target is not shown."""
        headers = {"location": "https://evil.invalid/"}
        error = self.make_stage().parse_error(self.make_call(), ProviderResponse(status, headers, b""))
        assert isinstance(error, ProviderProtocolError)
        assert error.http_status == 502
        assert "evil.invalid" not in str(error)

    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ({}, None),
            ({"retry-after": "7"}, 7.0),
            ({"retry-after": "0.5"}, 0.5),
            ({"retry-after": "-3"}, 0.0),
            ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
            ({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30.0),
            ({"retry-after": "Tue, 14 Nov 2023 22:00:00 GMT"}, 0.0),
            ({"retry-after": "soon"}, None),
            ({"retry-after": "nan"}, None),
            ({"retry-after": "9" * 400}, None),
            ({"retry-after": "Tue, 99 Foo 99999 99:99:99 GMT"}, None),
        ],
    )
    def test_understands_retry_after(self, headers: Mapping[str, str], expected: float | None) -> None:
        """Seconds, fractions, milliseconds and dates are read against the call's own time; junk is ignored."""
        error = self.make_stage().parse_error(self.make_call(), ProviderResponse(429, headers, b"{}"))
        assert error.retry_after == (None if expected is None else pytest.approx(expected))

    # The tests: streams.

    def test_relays_the_same_however_split(self) -> None:
        """At every boundary: the same bytes, the same outcome, the terminal marker kept apart."""
        call = self.make_call(stream=True)
        data = _stream(call.format)
        whole, outcome, terminal = self._relayed(call, [data])
        assert whole + terminal == data
        assert terminal
        assert outcome.usage == _USAGE
        assert outcome.finish_reason is FinishReason.TOOL_CALLS
        assert outcome.content
        assert outcome.complete
        for pieces in _splits(data):
            assert self._relayed(call, pieces) == (whole, outcome, terminal)

    def test_decodes_the_same_however_split(self) -> None:
        """At every boundary: the same chunks."""
        call = self.make_call(stream=True)
        data = _stream(call.format)
        expected = self._decoded(call, [data])
        assert "".join(chunk.text for chunk in expected) == "Hällo 👋"
        assert expected[-1].final
        assert b"".join(chunk.raw for chunk in expected) == data
        for pieces in _splits(data):
            assert _plain(self._decoded(call, pieces)) == _plain(expected)

    def test_tool_call_deltas_add_up(self) -> None:
        """The pieces of a tool call, put together, are the call."""
        call = self.make_call(stream=True)
        deltas = [
            delta
            for chunk in self._decoded(call, [_stream(call.format)])
            for choice in chunk.choices
            for delta in choice.tool_calls
        ]
        assert {delta.index for delta in deltas} == {0}
        assert [delta.id for delta in deltas if delta.id] == [_CALL.id]
        assert "".join(delta.name or "" for delta in deltas) == _CALL.name
        assert "".join(delta.arguments for delta in deltas) == _CALL.arguments

    def test_a_cut_stream_is_an_error(self) -> None:
        """Wherever the upstream closes before the terminal marker: no clean end."""
        call = self.make_call(stream=True)
        data = _stream(call.format)
        _, _, terminal = self._relayed(call, [data])
        for end in range(len(data) - len(terminal) + 1):
            for read in ("relay", "decode"):
                reader = self.make_stage().stream_reader(call)
                getattr(reader, read)(data[:end])
                assert not reader.outcome.complete
                with pytest.raises(ProviderProtocolError):
                    reader.finish()

    def test_an_error_event_is_not_content(self) -> None:
        """An error inside the stream is told in the outcome and neither relayed nor followed by anything."""
        call = self.make_call(stream=True)
        event = call.format.stream_encoder().error(InvalidRequestError("the vendor has broken down"))
        data = _stream(call.format)
        start = _stream(call.format, _CHUNKS[:3])
        reader = self.make_stage().stream_reader(call)
        assert reader.relay(start + event + data) == start
        assert reader.outcome.error is not None
        assert "broken down" in reader.outcome.error.message
        assert not reader.outcome.complete
        assert reader.terminal == b""

    def test_withholds_the_usage_event_it_asked_for(self) -> None:
        """Usage that only the gateway asked for is seen and not passed on."""
        call = self.make_call(stream=True, withhold_usage=True)
        data = _stream(call.format)
        without = _stream(call.format, [chunk for chunk in _CHUNKS if chunk.usage is None])
        relayed, outcome, terminal = self._relayed(call, [data])
        assert outcome.usage == _USAGE
        assert relayed + terminal == without

    def _relayed(self, call: AttemptCall, pieces: Sequence[bytes]) -> tuple[bytes, Any, bytes]:
        reader: StreamReader = self.make_stage().stream_reader(call)
        relayed = b"".join([reader.relay(piece) for piece in pieces])
        reader.finish()
        return relayed, reader.outcome, reader.terminal

    def _decoded(self, call: AttemptCall, pieces: Sequence[bytes]) -> list[GatewayChunk]:
        reader: StreamReader = self.make_stage().stream_reader(call)
        chunks = [chunk for piece in pieces for chunk in reader.decode(piece)]
        reader.finish()
        return chunks


def _stream(wire_format: Format, chunks: Sequence[GatewayChunk] = _CHUNKS) -> bytes:
    """A stream in a wire format, as a vendor sends it."""
    encoder = wire_format.stream_encoder(include_usage=True)
    return b"".join(
        encoder.encode(chunk if chunk.final else attrs.evolve(chunk, id="answer-1", model="model-1", created=1))
        for chunk in chunks
    )


def _splits(data: bytes) -> list[list[bytes]]:
    """Every split in two, and every byte alone."""
    halves = [[data[:place], data[place:]] for place in range(1, len(data))]
    return [*halves, [data[place : place + 1] for place in range(len(data))]]


def _plain(chunks: Sequence[GatewayChunk]) -> list[dict[str, Any]]:
    """Chunks as values that can be compared."""
    return [attrs.asdict(chunk) for chunk in chunks]


def _hostile_headers() -> dict[str, str]:
    return {"set-cookie": "session=1", "openai-organization": "org-of-the-gateway", "server": _KEY, "x-request-id": "r"}
