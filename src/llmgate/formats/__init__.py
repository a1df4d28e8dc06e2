"""The wire formats by name; each is imported when it is first asked for."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from typing import Final

import attrs

from llmgate.spec import ChatRequest, Format, GatewayRequest, RequestHead

__all__ = ["FORMATS", "get_format", "read_request"]

FORMATS: Final[Mapping[str, str]] = {
    "anthropic-count-tokens": "llmgate.formats.anthropic_count_tokens:AnthropicCountTokensFormat",
    "anthropic-messages": "llmgate.formats.anthropic_messages:AnthropicMessagesFormat",
    "bedrock-anthropic": "llmgate.formats.bedrock_anthropic:BedrockAnthropicFormat",
    "bedrock-converse": "llmgate.formats.bedrock_converse:BedrockConverseFormat",
    "cohere-chat": "llmgate.formats.cohere_chat:CohereChatFormat",
    "gemini-batch-embed-contents": "llmgate.formats.gemini_embeddings:GeminiBatchEmbedContentsFormat",
    "gemini-count-tokens": "llmgate.formats.gemini_count_tokens:GeminiCountTokensFormat",
    "gemini-embed-content": "llmgate.formats.gemini_embeddings:GeminiEmbedContentFormat",
    "gemini-generate-content": "llmgate.formats.gemini_generate_content:GeminiGenerateContentFormat",
    "ollama-chat": "llmgate.formats.ollama_chat:OllamaChatFormat",
    "openai-chat": "llmgate.formats.openai_chat:OpenAIChatFormat",
    "openai-completions": "llmgate.formats.openai_completions:OpenAICompletionsFormat",
    "openai-embeddings": "llmgate.formats.openai_embeddings:OpenAIEmbeddingsFormat",
    "openai-image-edits": "llmgate.formats.openai_images:ImageEditsFormat",
    "openai-image-variations": "llmgate.formats.openai_images:ImageVariationsFormat",
    "openai-images": "llmgate.formats.openai_images:ImagesFormat",
    "openai-moderations": "llmgate.formats.openai_moderations:ModerationsFormat",
    "openai-responses": "llmgate.formats.openai_responses:OpenAIResponsesFormat",
    "openai-speech": "llmgate.formats.openai_audio:SpeechFormat",
    "openai-transcriptions": "llmgate.formats.openai_audio:TranscriptionsFormat",
    "openai-translations": "llmgate.formats.openai_audio:TranslationsFormat",
    "rerank": "llmgate.formats.rerank:RerankFormat",
}


@functools.cache
def get_format(name: str) -> Format:
    """The wire format of that name.

    Raises:
        KeyError: there is none.
    """
    module, _, attribute = FORMATS[name].partition(":")
    format_class: type[Format] = getattr(importlib.import_module(module), attribute)
    return format_class()


def read_request(
    wire_format: Format,
    body: bytes,
    *,
    model: str | None = None,
    stream: bool | None = None,
    router: str | None = None,
    headers: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
    deadline: float | None = None,
    max_retries: int | None = None,
) -> GatewayRequest:
    """A request made of a body in a wire format, after one pass over the body's top level.

    Args:
        wire_format: The format of the body.
        body: The request body.
        model: The model, for a format whose requests name it in their address.
        stream: Whether a streamed answer is wanted, for such a format.
        router: The router addressed.
        headers: The client's headers with lower-case names; those that the format does not allow upstream are left out.
        metadata: Labels for the record.
        deadline: Monotonic time at which the caller stops waiting.
        max_retries: Repeats that the caller allows.

    Raises:
        InvalidRequestError: the body is not a request in this format.
    """
    head, decode = wire_format.peek(body), wire_format.decode_request
    if wire_format.addressed:
        head = attrs.evolve(head, model=model or head.model, stream=bool(stream), include_usage=bool(stream))
        decode = functools.partial(_decode_addressed, wire_format, head)
    allows = wire_format.allows_up
    return GatewayRequest(
        operation=wire_format.operation,
        format=wire_format.name,
        body=body,
        model=head.model,
        stream=head.stream,
        include_usage=head.include_usage,
        bound_by=head.bound_by,
        decode=decode,
        router=router,
        headers={name: value for name, value in headers.items() if allows(name)} if headers else {},
        metadata=metadata or {},
        deadline=deadline,
        max_retries=max_retries,
        user=head.user,
        patches=[(body, head.patch, head.output_bound, head.values)] if head.patch is not None else [],
    )


def _decode_addressed(wire_format: Format, head: RequestHead, body: bytes) -> ChatRequest:
    """The canonical request of a body, and what its address says."""
    request = wire_format.decode_request(body)
    return attrs.evolve(request, model=head.model, stream=head.stream, include_usage=head.include_usage)
