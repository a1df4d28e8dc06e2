from __future__ import annotations

from llmgate.catalogue import provider_row
from llmgate.config.model import ProviderConfig, StageConfig, row_of
from llmgate.spec import NoConfig, ProviderRow

ADAPTER = StageConfig("providers.x", "openai", NoConfig())


def test_a_provider_is_made_from_the_row_that_its_adapter_brings_or_the_catalogues() -> None:
    brought = ProviderRow("acme", "Acme", None)
    assert row_of(ProviderConfig("x", None, ADAPTER, brought=brought)) is brought
    assert row_of(ProviderConfig("x", "groq", ADAPTER)) is provider_row("groq")
    assert row_of(ProviderConfig("x", None, ADAPTER)) is None
