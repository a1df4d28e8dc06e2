"""What the configuration may say: each field is a key, in kebab-case in the file."""

from __future__ import annotations

from urllib.parse import urlsplit

import attrs

from llmgate.spec import SecretRef, bounded

__all__ = ["SemanticCacheConfig"]


def _an_address(_: object, field: attrs.Attribute[str], url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("base-url: write https://host/v1, where /embeddings is found below it", field)


@attrs.frozen
class SemanticCacheConfig:
    """The keys of ``semantic-cache``.

    Args:
        model: The model that makes embeddings.
        base_url: Where it is asked, in the wire format of OpenAI: ``/embeddings`` below this address.
        api_key: A reference to its key; None where it wants none.
        dimensions: How many numbers an embedding has, for models that let that be chosen; 0 for as many as it makes.
        similarity: The cosine from which two questions mean the same, for who does not say.
        floor: The lowest cosine that a caller may ask for.
        scope: Who shares answers: ``principal`` (nobody but the caller), or ``attribute:NAME`` (callers with the same
            value there, a team for example; a caller without one shares with nobody).
        literals: Whether figures, quoted words and words of denial must be the same in both questions.
        tools: Whether requests that offer tools are answered, and answers that call them are kept.
        max_age: Seconds for which an answer is given again.
        max_entries: Answers that are kept for one partition; those used longest ago go.
        max_partitions: Partitions that are kept; those used longest ago go.
        max_entry_size: Bytes above which an answer is not kept.
        max_question: Characters above which a question is not looked at.
        timeout: Seconds that an embedding may take; then it is a miss.
        pause: Seconds for which embeddings are not asked for after a failure.
    """

    model: str
    base_url: str = attrs.field(default="https://api.openai.com/v1", validator=_an_address)
    api_key: SecretRef | None = None
    dimensions: int = attrs.field(default=0, metadata={"minimum": 0, "maximum": 16384})
    similarity: float = bounded(0.95, minimum=0.5, maximum=1)
    floor: float = bounded(0.9, minimum=0.5, maximum=1)
    scope: str = attrs.field(default="principal")
    literals: bool = True
    tools: bool = False
    max_age: float = bounded(86400.0, above=0, maximum=366 * 86400)
    max_entries: int = attrs.field(default=250, metadata={"minimum": 1, "maximum": 10_000})
    max_partitions: int = attrs.field(default=1000, metadata={"minimum": 1, "maximum": 1_000_000})
    max_entry_size: int = attrs.field(default=1024 * 1024, metadata={"minimum": 1, "maximum": 2**30})
    max_question: int = attrs.field(default=8000, metadata={"minimum": 1, "maximum": 1_000_000})
    timeout: float = bounded(2.0, above=0, maximum=30)
    pause: float = bounded(30.0, minimum=0, maximum=3600)

    @scope.validator
    def _a_scope(self, field: attrs.Attribute[str], scope: str) -> None:
        kind, _, name = scope.partition(":")
        if scope != "principal" and (kind != "attribute" or not name):
            raise ValueError("scope: write principal, or attribute:NAME", field)

    def __attrs_post_init__(self) -> None:
        if self.similarity < self.floor:
            raise ValueError(
                f"similarity {self.similarity:g} is below the floor {self.floor:g}: raise it or lower floor"
            )
