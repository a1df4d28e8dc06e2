"""Answers with sources behind their words, as vendors' documentation shows them and their own libraries read them.

The words have signs of one to four bytes before them, so that whoever counts otherwise than the vendor is found out.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import anthropic.types
import attrs
import cohere
import google.genai.types
import openai.types.chat
import openai.types.responses
from pydantic import TypeAdapter

from end_to_end.dialects.bedrock import message
from end_to_end.dialects.dialect import sse, sse_events
from formats.bedrock_converse.aws_model import parse_answer, parse_stream

HEAD = "Grüße aus 日本 👩‍👩‍👧: "


@attrs.frozen
class Backed:
    """Words and the page behind them."""

    words: str
    url: str
    title: str

    @property
    def span(self) -> tuple[int, int]:
        start = TEXT.index(self.words)
        return start, start + len(self.words)


PARIS = Backed("Paris ist groß.", "https://a.example/paris", "Paris")
ROME = Backed("Rom ist älter.", "https://b.example/rome", "Rome")
BACKED = (PARIS, ROME)
TEXT = f"{HEAD}{PARIS.words} {ROME.words}"
PIECES: Sequence[tuple[str, Backed | None]] = ((HEAD, None), (PARIS.words, PARIS), (" ", None), (ROME.words, ROME))
Heard = list[tuple[str, str | None, str | None]]
"""The words, the address and the title of each source."""


class Sources(ABC):
    """One format: how a provider says such an answer, and what a client hears of it."""

    name: str
    titled = True

    @abstractmethod
    def whole(self) -> bytes: ...

    @abstractmethod
    def events(self) -> list[bytes]: ...

    @abstractmethod
    def hear(self, body: bytes) -> tuple[str, Heard]: ...

    @abstractmethod
    def hear_stream(self, body: bytes) -> tuple[str, Heard]: ...


class Chat(Sources):
    name = "openai-chat"
    head = {"id": "c", "created": 1, "model": "m"}

    def annotations(self) -> list[dict[str, Any]]:
        return [
            {
                "type": "url_citation",
                "url_citation": {
                    "start_index": one.span[0],
                    "end_index": one.span[1],
                    "url": one.url,
                    "title": one.title,
                },
            }
            for one in BACKED
        ]

    def whole(self) -> bytes:
        turn = {"role": "assistant", "content": TEXT, "refusal": None, "annotations": self.annotations()}
        choice = {"index": 0, "message": turn, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
        return json.dumps({**self.head, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()

    def events(self) -> list[bytes]:
        deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
        deltas += [({"content": text}, None) for text, _ in PIECES]
        deltas += [({"annotations": self.annotations()}, None), ({}, "stop")]
        head = {**self.head, "object": "chat.completion.chunk"}
        written = [
            sse({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}) for delta, end in deltas
        ]
        return [*written, b"data: [DONE]\n\n"]

    def hear(self, body: bytes) -> tuple[str, Heard]:
        answer = openai.types.chat.ChatCompletion.model_validate_json(body, strict=True)
        said = answer.choices[0].message
        found = [one.url_citation for one in said.annotations or ()]
        text = said.content or ""
        return text, [(text[one.start_index : one.end_index], one.url, one.title) for one in found]

    def hear_stream(self, body: bytes) -> tuple[str, Heard]:
        text, found = "", []
        for _, data in sse_events(body):
            if data == "[DONE]":
                continue
            chunk = openai.types.chat.ChatCompletionChunk.model_validate_json(data, strict=True)
            for choice in chunk.choices:
                text += choice.delta.content or ""
                found += (choice.delta.model_extra or {}).get("annotations") or []
        read = [openai.types.chat.chat_completion_message.Annotation.model_validate(one, strict=True) for one in found]
        cited = [one.url_citation for one in read]
        return text, [(text[one.start_index : one.end_index], one.url, one.title) for one in cited]


class Responses(Sources):
    name = "openai-responses"
    events_read: TypeAdapter[Any] = TypeAdapter(openai.types.responses.ResponseStreamEvent)

    def annotations(self) -> list[dict[str, Any]]:
        return [
            {
                "type": "url_citation",
                "start_index": one.span[0],
                "end_index": one.span[1],
                "url": one.url,
                "title": one.title,
            }
            for one in BACKED
        ]

    def response(self, items: list[Any], status: str = "completed") -> dict[str, Any]:
        head = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": status, "output": items}
        return {**head, "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}

    def item(self) -> dict[str, Any]:
        part = {"type": "output_text", "text": TEXT, "annotations": self.annotations(), "logprobs": []}
        return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}

    def whole(self) -> bytes:
        return json.dumps(self.response([self.item()])).encode()

    def events(self) -> list[bytes]:
        item = self.item()
        place: dict[str, Any] = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        found: list[tuple[str, dict[str, Any]]] = [
            ("created", {"response": self.response([], "in_progress")}),
            ("output_item.added", {"output_index": 0, "item": {**item, "content": []}}),
            ("content_part.added", {**place, "part": {"type": "output_text", "text": "", "annotations": []}}),
        ]
        for text, backed in PIECES:
            found.append(("output_text.delta", {**place, "delta": text, "logprobs": []}))
            if backed is not None:
                index = BACKED.index(backed)
                more = {"annotation_index": index, "annotation": self.annotations()[index]}
                found.append(("output_text.annotation.added", {**place, **more}))
        found.append(("output_text.done", {**place, "text": TEXT, "logprobs": []}))
        found.append(("content_part.done", {**place, "part": item["content"][0]}))
        found.append(("output_item.done", {"output_index": 0, "item": item}))
        found.append(("completed", {"response": self.response([item])}))
        return [
            sse({"type": f"response.{kind}", "sequence_number": number, **value}, f"response.{kind}")
            for number, (kind, value) in enumerate(found)
        ]

    def hear(self, body: bytes) -> tuple[str, Heard]:
        return self._heard(json.loads(body))

    def hear_stream(self, body: bytes) -> tuple[str, Heard]:
        read = [self.events_read.validate_json(data) for _, data in sse_events(body)]
        added = [one for one in read if one.type == "response.output_text.annotation.added"]
        text, found = self._heard(read[-1].response.model_dump(mode="json"))
        assert [one.annotation_index for one in added] == list(range(len(added)))
        assert [(one.annotation.url, one.annotation.title) for one in added] == [one[1:] for one in found]
        return text, found

    def _heard(self, value: dict[str, Any]) -> tuple[str, Heard]:
        read = openai.types.responses.Response.model_validate(value)
        parts = [part for item in read.output if item.type == "message" for part in item.content]
        found: Heard = []
        for part in parts:
            assert isinstance(part, openai.types.responses.ResponseOutputText)
            for one in part.annotations:
                assert one.type == "url_citation"
                found.append((part.text[one.start_index : one.end_index], one.url, one.title))
        return read.output_text, found


class Claude(Sources):
    name = "anthropic-messages"
    events_read: TypeAdapter[Any] = TypeAdapter(anthropic.types.RawMessageStreamEvent)

    def citation(self, one: Backed) -> dict[str, Any]:
        kind = {"type": "web_search_result_location", "encrypted_index": "Eo8B", "cited_text": "It is said so."}
        return {**kind, "url": one.url, "title": one.title}

    def message(self, blocks: list[Any], **more: Any) -> dict[str, Any]:
        usage = {"input_tokens": 1, "output_tokens": 2}
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": blocks}
        return {**head, "stop_reason": None, "stop_sequence": None, "usage": usage, **more}

    def whole(self) -> bytes:
        blocks = [
            {"type": "text", "text": text, **({"citations": [self.citation(one)]} if one else {})}
            for text, one in PIECES
        ]
        return json.dumps(self.message(blocks, stop_reason="end_turn")).encode()

    def events(self) -> list[bytes]:
        written: list[dict[str, Any]] = [{"type": "message_start", "message": self.message([])}]
        for index, (text, one) in enumerate(PIECES):
            cited: dict[str, Any] = {"citations": []} if one else {}
            start = {"type": "text", "text": "", **cited}
            written.append({"type": "content_block_start", "index": index, "content_block": start})
            deltas = [{"type": "text_delta", "text": text}]
            deltas += [{"type": "citations_delta", "citation": self.citation(one)}] if one else []
            written += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
            written.append({"type": "content_block_stop", "index": index})
        end = {"stop_reason": "end_turn", "stop_sequence": None}
        written.append({"type": "message_delta", "delta": end, "usage": {"output_tokens": 2}})
        return [sse(one, one["type"]) for one in [*written, {"type": "message_stop"}]]

    def hear(self, body: bytes) -> tuple[str, Heard]:
        return self._heard(json.loads(body)["content"])

    def hear_stream(self, body: bytes) -> tuple[str, Heard]:
        blocks: list[dict[str, Any]] = []
        for _, data in sse_events(body):
            self.events_read.validate_json(data, strict=True)
            value = json.loads(data)
            if value["type"] == "content_block_start":
                blocks.append({**value["content_block"], "citations": []})
            delta = value.get("delta", {})
            if delta.get("type") == "text_delta":
                blocks[-1]["text"] += delta["text"]
            elif delta.get("type") == "citations_delta":
                blocks[-1]["citations"].append(delta["citation"])
        return self._heard(blocks)

    def _heard(self, blocks: Iterable[dict[str, Any]]) -> tuple[str, Heard]:
        read = [anthropic.types.TextBlock.model_validate(one, strict=True) for one in blocks]
        found: Heard = []
        for block in read:
            assert block.text.strip() or not block.citations
            for one in block.citations or ():
                assert one.type == "web_search_result_location"
                found.append((block.text, one.url, one.title))
        return "".join(one.text for one in read), found


class Bedrock(Sources):
    name = "bedrock-converse"

    def citation(self, one: Backed) -> dict[str, Any]:
        return {"title": one.title, "sourceContent": [{"text": "It is so."}], "location": {"web": {"url": one.url}}}

    def whole(self) -> bytes:
        blocks = [
            {"citationsContent": {"content": [{"text": text}], "citations": [self.citation(one)]}}
            if one
            else {"text": text}
            for text, one in PIECES
        ]
        usage = {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}
        value = {"output": {"message": {"role": "assistant", "content": blocks}}, "stopReason": "end_turn"}
        return json.dumps({**value, "usage": usage, "metrics": {"latencyMs": 1}}).encode()

    def events(self) -> list[bytes]:
        written = [message("messageStart", {"role": "assistant"})]
        for index, (text, one) in enumerate(PIECES):
            deltas: list[dict[str, Any]] = [{"text": text}, *([{"citation": self.citation(one)}] if one else [])]
            written += [message("contentBlockDelta", {"delta": delta, "contentBlockIndex": index}) for delta in deltas]
            written.append(message("contentBlockStop", {"contentBlockIndex": index}))
        usage = {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}
        written.append(message("messageStop", {"stopReason": "end_turn"}))
        return [*written, message("metadata", {"usage": usage, "metrics": {"latencyMs": 1}})]

    def hear(self, body: bytes) -> tuple[str, Heard]:
        blocks = parse_answer(body)["output"]["message"]["content"]
        text, found = "", []
        for block in blocks:
            cited = block.get("citationsContent", {})
            said = block.get("text") or "".join(one["text"] for one in cited["content"])
            text += said
            found += [(said, one["location"]["web"]["url"], one["title"]) for one in cited.get("citations", ())]
        return text, found

    def hear_stream(self, body: bytes) -> tuple[str, Heard]:
        blocks: dict[int, tuple[list[str], list[Mapping[str, Any]]]] = {}
        for event in parse_stream(body):
            delta = event.get("contentBlockDelta", {})
            texts, cited = blocks.setdefault(delta.get("contentBlockIndex", -1), ([], []))
            texts += [delta["delta"]["text"]] if "text" in delta.get("delta", {}) else []
            cited += [delta["delta"]["citation"]] if "citation" in delta.get("delta", {}) else []
        found = [
            ("".join(texts), one["location"]["web"]["url"], one["title"])
            for texts, cited in blocks.values()
            for one in cited
        ]
        return "".join(text for texts, _ in blocks.values() for text in texts), found


class Gemini(Sources):
    name = "gemini-generate-content"

    def grounding(self) -> dict[str, Any]:
        supports = [
            {"segment": {**self.segment(one), "text": one.words}, "groundingChunkIndices": [index]}
            for index, one in enumerate(BACKED)
        ]
        chunks = [{"web": {"uri": one.url, "title": one.title}} for one in BACKED]
        return {"groundingChunks": chunks, "groundingSupports": supports, "webSearchQueries": ["cities"]}

    def segment(self, one: Backed) -> dict[str, int]:
        start, end = (len(TEXT[:place].encode()) for place in one.span)
        return {"startIndex": start, "endIndex": end}

    def answer(self, text: str, **more: Any) -> dict[str, Any]:
        candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0, **more}
        return {"candidates": [candidate], "modelVersion": "m", "responseId": "r"}

    def whole(self) -> bytes:
        return json.dumps(self.answer(TEXT, finishReason="STOP", groundingMetadata=self.grounding())).encode()

    def events(self) -> list[bytes]:
        last = self.answer("", finishReason="STOP", groundingMetadata=self.grounding())
        return [sse(self.answer(text)) for text, _ in PIECES] + [sse(last)]

    def hear(self, body: bytes) -> tuple[str, Heard]:
        return self._heard([json.loads(body)])

    def hear_stream(self, body: bytes) -> tuple[str, Heard]:
        return self._heard([json.loads(data) for _, data in sse_events(body)])

    def _heard(self, values: list[dict[str, Any]]) -> tuple[str, Heard]:
        read = [google.genai.types.GenerateContentResponse.model_validate(one) for one in values]
        text = "".join(one.text or "" for one in read)
        found: Heard = []
        for answer in read:
            grounding = (answer.candidates or [])[0].grounding_metadata
            chunks = (grounding.grounding_chunks if grounding else None) or []
            for support in (grounding.grounding_supports if grounding else None) or []:
                place = support.segment
                assert place is not None
                data = text.encode() if len(read) > 1 else read[0].parts[place.part_index or 0].text.encode()
                words = data[place.start_index or 0 : place.end_index].decode()
                assert words == place.text
                for index in support.grounding_chunk_indices or ():
                    web = chunks[index].web
                    assert web is not None
                    found.append((words, web.uri, web.title))
        return text, found


class Cohere(Sources):
    name = "cohere-chat"

    def citation(self, one: Backed) -> dict[str, Any]:
        document = {"id": one.url, "title": one.title, "url": one.url, "snippet": "It is so."}
        source = {"type": "document", "id": one.url, "document": document}
        place = {"start": one.span[0], "end": one.span[1], "text": one.words, "content_index": 0}
        return {**place, "sources": [source], "type": "TEXT_CONTENT"}

    def whole(self) -> bytes:
        turn = {"role": "assistant", "content": [{"type": "text", "text": TEXT}]}
        turn["citations"] = [self.citation(one) for one in BACKED]
        return json.dumps({"id": "x", "finish_reason": "COMPLETE", "message": turn}).encode()

    def events(self) -> list[bytes]:
        written: list[dict[str, Any]] = [
            {"type": "message-start", "id": "x", "delta": {"message": {"role": "assistant", "content": []}}},
            {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
        ]
        for text, one in PIECES:
            written.append({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": text}}}})
            if one is not None:
                index = BACKED.index(one)
                start = {"message": {"citations": self.citation(one)}}
                written.append({"type": "citation-start", "index": index, "delta": start})
                written.append({"type": "citation-end", "index": index})
        usage = {"tokens": {"input_tokens": 1, "output_tokens": 2}}
        end = {"finish_reason": "COMPLETE", "usage": usage}
        written += [{"type": "content-end", "index": 0}, {"type": "message-end", "delta": end}]
        return [sse(one, one["type"]) for one in written]

    def hear(self, body: bytes) -> tuple[str, Heard]:
        value = json.loads(body)["message"]
        texts = {index: one["text"] for index, one in enumerate(value["content"])}
        return "".join(texts.values()), self._heard(texts, value.get("citations") or ())

    def hear_stream(self, body: bytes) -> tuple[str, Heard]:
        texts: dict[int, str] = {}
        cited: list[dict[str, Any]] = []
        for _, data in sse_events(body):
            value = json.loads(data)
            turn = value.get("delta", {}).get("message", {})
            if value["type"] in ("content-start", "content-delta"):
                texts[value["index"]] = texts.get(value["index"], "") + turn["content"].get("text", "")
            elif value["type"] == "citation-start":
                assert value["index"] == len(cited)
                cited.append(turn["citations"])
            elif value["type"] == "citation-end":
                assert value["index"] == len(cited) - 1
        return "".join(texts.values()), self._heard(texts, cited)

    def _heard(self, texts: Mapping[int, str], cited: Iterable[dict[str, Any]]) -> Heard:
        found: Heard = []
        for given in cited:
            one = cohere.Citation.model_validate(given)
            words = texts[one.content_index or 0][one.start : one.end]
            assert words == one.text
            for source in one.sources or ():
                document = source.document or {}
                found.append((words, document.get("url"), document.get("title")))
        return found


SOURCES: Mapping[str, Sources] = {
    one.name: one for one in (Chat(), Responses(), Claude(), Bedrock(), Gemini(), Cohere())
}
