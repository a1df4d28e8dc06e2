"""llmgate: a gateway between applications and LLM providers, as a library.

The front door. Names are imported from their rooms when they are first used, so that ``import llmgate`` costs next to
nothing, whatever a program goes on to use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .pipeline.blocking import BlockingPipeline as BlockingPipeline
    from .pipeline.completion import (
        Completion as Completion,
        CompletionStream as CompletionStream,
        Embeddings as Embeddings,
        ResponseStream as ResponseStream,
    )
    from .pipeline.pipeline import Pipeline as Pipeline
    from .spec import (
        AuthenticationError as AuthenticationError,
        BudgetExceededError as BudgetExceededError,
        ChatRequest as ChatRequest,
        ConfigError as ConfigError,
        Controls as Controls,
        Credentials as Credentials,
        GatewayChunk as GatewayChunk,
        GatewayClosedError as GatewayClosedError,
        GatewayError as GatewayError,
        GatewayTimeoutError as GatewayTimeoutError,
        InvalidRequestError as InvalidRequestError,
        Message as Message,
        ModelNotFoundError as ModelNotFoundError,
        NoDeploymentError as NoDeploymentError,
        OverloadedError as OverloadedError,
        PermissionDeniedError as PermissionDeniedError,
        PluginError as PluginError,
        Principal as Principal,
        ProviderError as ProviderError,
        RateLimitError as RateLimitError,
        Record as Record,
        Role as Role,
        Text as Text,
        ToolCall as ToolCall,
        ToolDefinition as ToolDefinition,
        Usage as Usage,
        hookimpl as hookimpl,
    )

__all__ = [
    "AuthenticationError",
    "BlockingPipeline",
    "BudgetExceededError",
    "ChatRequest",
    "Completion",
    "CompletionStream",
    "ConfigError",
    "Controls",
    "Credentials",
    "Embeddings",
    "GatewayChunk",
    "GatewayClosedError",
    "GatewayError",
    "GatewayTimeoutError",
    "InvalidRequestError",
    "Message",
    "ModelNotFoundError",
    "NoDeploymentError",
    "OverloadedError",
    "PermissionDeniedError",
    "Pipeline",
    "PluginError",
    "Principal",
    "ProviderError",
    "RateLimitError",
    "Record",
    "ResponseStream",
    "Role",
    "Text",
    "ToolCall",
    "ToolDefinition",
    "Usage",
    "__version__",
    "hookimpl",
]

__version__ = "0.1.0"

_HOMES = {
    "BlockingPipeline": "llmgate.pipeline.blocking",
    "Completion": "llmgate.pipeline.completion",
    "CompletionStream": "llmgate.pipeline.completion",
    "Embeddings": "llmgate.pipeline.completion",
    "Pipeline": "llmgate.pipeline.pipeline",
    "ResponseStream": "llmgate.pipeline.completion",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'llmgate' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES.get(name, "llmgate.spec")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
