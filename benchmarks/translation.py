"""What the wire formats cost: a long conversation from each into each other, and each event of a stream.

Every format of ``llmgate.formats.FORMATS`` that translates chats takes part, so that a new one is measured without a
change here. Times are CPU time of this process; beside each stands its ratio to ``json.loads`` and ``json.dumps`` of
the very same bytes, timed in the same turn. Run as a program it prints JSON: ``translation.py REPETITIONS``.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.codecs.sse import EventSplitter, event_data
from llmgate.formats import FORMATS, get_format
from llmgate.formats.tool_names import shortened
from llmgate.spec import (
    ChatRequest,
    ChoiceDelta,
    FinishReason,
    Format,
    GatewayChunk,
    Message,
    Operation,
    Role,
    Text,
    ToolCall,
    ToolCallResponse,
    ToolDefinition,
    Usage,
)

__all__ = ["MESSAGES", "TOOLS", "chat_formats", "conversation", "measure", "stream_of"]

MESSAGES: Final = 50
TOOLS: Final = 20
DELTAS: Final = 200
"""Events with text in a stream."""
SSE: Final = "text/event-stream"
CALLS: Final = 5
"""Translations of the conversation in one repetition."""

Step = Callable[[], object]


def chat_formats() -> Sequence[Format]:
    """The formats that a chat can be translated from and into."""
    formats = [get_format(name) for name in FORMATS]
    return [one for one in formats if one.operation is Operation.CHAT and one.fields]


def conversation() -> ChatRequest:
    """A conversation of an agent: a system message, then questions, tool calls, their results and answers in turn."""
    text = "The report of the third quarter names four risks; the second is the one that grew. " * 4
    messages = [
        Message(Role.SYSTEM, (Text("You are a careful analyst. Use the tools, and say what you do not know."),))
    ]
    for number in range(12):
        call = ToolCall(f"call_{number:04}", f"tool_{number:02}", json.dumps({"query": text[:80], "limit": number}))
        messages += [
            Message(Role.USER, (Text(f"{number}. {text}"),)),
            Message(Role.ASSISTANT, (Text("I look it up."), call)),
            Message(Role.TOOL, (ToolCallResponse(call.id, (Text(json.dumps({"rows": [text[:60]] * 4})),)),)),
            Message(Role.ASSISTANT, (Text(text * 2),)),
        ]
    messages.append(Message(Role.USER, (Text("And what follows from all this?"),)))
    return ChatRequest("bench-model", messages, tools=[_tool(n) for n in range(TOOLS)], max_output_tokens=1024)


def _tool(number: int) -> ToolDefinition:
    properties = {
        "query": {"type": "string", "description": "What to look for, in words."},
        "limit": {"type": "integer", "minimum": 1, "maximum": 100},
        "kinds": {"type": "array", "items": {"type": "string", "enum": ["report", "letter", "table"]}},
    }
    schema = {"type": "object", "properties": properties, "required": ["query"], "additionalProperties": False}
    return ToolDefinition(f"tool_{number:02}", f"Searches collection {number} and returns its best rows.", schema)


def stream_of(wire_format: Format) -> Sequence[bytes]:
    """A streamed answer in a format: its beginning, the events with text, its end; each as it stands on the wire."""
    encoder = wire_format.stream_encoder(include_usage=True)
    head = GatewayChunk(id="answer-1", model="bench-model", created=1760000000)
    chunks = [
        attrs.evolve(head, choices=(ChoiceDelta(role="assistant"),)),
        *(attrs.evolve(head, choices=(ChoiceDelta(parts=(Text(f" and {n} more words"),)),)) for n in range(DELTAS)),
        attrs.evolve(head, choices=(ChoiceDelta(finish_reason=FinishReason.STOP),)),
        attrs.evolve(head, usage=Usage(input_tokens=900, output_tokens=DELTAS)),
        GatewayChunk(final=True),
    ]
    pieces = [data for chunk in chunks if (data := encoder.encode(chunk))]
    return EventSplitter().feed(b"".join(pieces)) if wire_format.stream_media_type == SSE else pieces


def documents_in(wire_format: Format, events: Sequence[bytes]) -> Sequence[bytes]:
    """The JSON that events carry; none where a format frames it in some other way."""
    datas = map(event_data, events) if wire_format.stream_media_type == SSE else events
    return [data for data in datas if data is not None and data.lstrip().startswith(b"{")]


def measure(repetitions: int) -> Mapping[str, Mapping[str, Any]]:
    """The figures of every direction."""
    return {
        "conversations": {name: _timed(*steps, "ms", 1e3, repetitions) for name, steps in _conversations()},
        "events": {name: _timed(*steps, "us", 1e6, repetitions) for name, steps in _events()},
    }


def _conversations() -> Iterator[tuple[str, tuple[Step, Step, int]]]:
    for source in chat_formats():
        body = source.encode_request(conversation())
        for target in chat_formats():
            if source is not target:
                yield f"{source.name} to {target.name}", (_translation(source, target, body), _plain([body]), CALLS)


def _translation(source: Format, target: Format, body: bytes) -> Step:
    """What becomes of a request whose provider speaks another format, as the pipeline does it."""

    def translate() -> None:
        for _ in range(CALLS):
            request, _names = shortened(source.decode_request(body), target.longest_tool_name)
            target.unsupported(request)
            target.encode_request(attrs.evolve(request, model="another-model"))

    return translate


def _events() -> Iterator[tuple[str, tuple[Step, Step, int]]]:
    for source in chat_formats():
        events = stream_of(source)
        documents = documents_in(source, events)
        yield f"{source.name}, relayed", (_relayed(source, events), _plain(documents), len(events))
        for target in chat_formats():
            if source is not target:
                yield (
                    f"{source.name} to {target.name}",
                    (
                        _translated(source, target, events),
                        _plain(documents),
                        len(events),
                    ),
                )


def _relayed(source: Format, events: Sequence[bytes]) -> Step:
    def relay() -> None:
        reader = source.stream_reader()
        for event in events:
            reader.relay(event)
        reader.finish()

    return relay


def _translated(source: Format, target: Format, events: Sequence[bytes]) -> Step:
    def translate() -> None:
        reader, encoder = source.stream_reader(), target.stream_encoder(include_usage=True)
        for event in events:
            for chunk in reader.decode(event):
                encoder.encode(chunk)
        reader.finish()

    return translate


def _plain(documents: Sequence[bytes]) -> Step:
    """What reading and writing the same JSON costs, by the standard library and for one document once."""
    times = CALLS if len(documents) == 1 else 1

    def read_and_write() -> None:
        for _ in range(times):
            for document in documents:
                json.dumps(json.loads(document))

    return read_and_write


def _timed(step: Step, plain: Step, count: int, unit: str, scale: float, repetitions: int) -> Mapping[str, float]:
    """The least that one took, which is what its own work costs, and the ratio in the middle."""
    for warm in (step, plain):
        warm()
    pairs = [(_cpu(step), _cpu(plain)) for _ in range(repetitions)]
    figures = {unit: min(spent for spent, _ in pairs) / count * scale}
    if all(base for _, base in pairs):
        figures["of_json"] = statistics.median(spent / base for spent, base in pairs)
    return figures


def _cpu(step: Step) -> float:
    before = time.process_time()
    step()
    return time.process_time() - before


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
