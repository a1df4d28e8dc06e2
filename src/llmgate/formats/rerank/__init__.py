"""The wire format ``rerank``: documents in the order in which they fit a question.

Sources: Cohere API reference, "Rerank" (v1 and v2), whose request Jina, Together, Novita, vLLM and others have taken
over: ``model``, ``query``, ``documents``, ``top_n``; answers are ``results`` of ``index`` and ``relevance_score``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from llmgate.formats.carried import CarriedFormat
from llmgate.spec import Operation, Outcome

__all__ = ["RerankFormat"]


class RerankFormat(CarriedFormat):
    """Reranking as Cohere began it."""

    name = "rerank"
    operation = Operation.RERANK
    answer = "a ranking"
    needs: ClassVar[Collection[str]] = ("query", "documents")

    def outcome_of(self, value: Mapping[str, Any]) -> Outcome:
        """Search units, or tokens."""
        if not isinstance(value.get("results"), list):
            raise self.not_an_answer("results must be an array")
        return super().outcome_of(value)
