"""What a target answers where it writes answers anew: asked for once, and looked at for what it must say."""

from __future__ import annotations

import http.client
import json
from typing import Final

from benchmarks.load import LoadError
from benchmarks.payloads import STREAM, TEXT

__all__ = ["learned", "text_of"]

PATIENCE: Final = 60.0
_STREAMED_TEXT: Final = "".join(
    json.loads(event[6:])["choices"][0]["delta"].get("content", "") for event in STREAM[:-1]
)


def learned(port: int, request: bytes, *, stream: bool) -> bytes:
    """The body that a target answers a request with.

    Args:
        port: Where it listens.
        request: The whole request.
        stream: Whether the answer is a stream.

    Raises:
        LoadError: it does not say what the upstream has said.
    """
    head, _, body = request.partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    method, path, _ = line.split(" ")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, body, dict(header.split(": ", 1) for header in headers))
        answer = connection.getresponse()
        said = answer.read()
    except (OSError, http.client.HTTPException) as failure:
        raise LoadError(f"the target does not answer: {failure!r}") from failure
    finally:
        connection.close()
    if answer.status != 200 or text_of(said, stream=stream) != (_STREAMED_TEXT if stream else TEXT):
        raise LoadError(f"a wrong answer: {answer.status} {said[:500]!r}")
    return said


def text_of(body: bytes, *, stream: bool) -> str | None:
    """What an answer in OpenAI's format says; None where it cannot be read, or a stream lacks its end."""
    try:
        if not stream:
            text: str = json.loads(body)["choices"][0]["message"]["content"]
            return text
        events = [line[5:].strip() for line in body.splitlines() if line.startswith(b"data:")]
        if not events or events.pop() != b"[DONE]":
            return None
        choices = [choice for event in events for choice in json.loads(event).get("choices", ())]
        return "".join(choice["delta"].get("content") or "" for choice in choices)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
