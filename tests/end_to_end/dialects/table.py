"""The formats of the matrix. A new one is a row here, and where it lacks a counterpart a row of ``EXCEPTIONS``."""

from __future__ import annotations

from end_to_end.dialects.anthropic_messages import AnthropicMessages
from end_to_end.dialects.bedrock import Bedrock
from end_to_end.dialects.cohere import Cohere
from end_to_end.dialects.dialect import Dialect
from end_to_end.dialects.gemini import Gemini
from end_to_end.dialects.ollama import Ollama
from end_to_end.dialects.openai_chat import OpenAIChat
from end_to_end.dialects.openai_responses import OpenAIResponses
from llmgate.formats import FORMATS

_ROWS: tuple[Dialect, ...] = (
    OpenAIChat(),
    OpenAIResponses(),
    AnthropicMessages(),
    Gemini(),
    Bedrock(),
    Cohere(),
    Ollama(),
)
DIALECTS = tuple(one for one in _ROWS if one.name in FORMATS)
