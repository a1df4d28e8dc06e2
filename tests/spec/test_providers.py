from __future__ import annotations

from llmgate.formats.adapter import FormatAdapter
from llmgate.spec import Deployment, NoConfig, Provider, ProviderRow


def test_a_deployment_speaks_what_its_providers_row_says_unless_its_adapter_knows_better() -> None:
    row = ProviderRow("acme", "Acme", None, {"anthropic-messages": "/m", "openai-chat": "/c"})
    deployment = Deployment("acme/m", Provider("acme", row, "https://acme.invalid"), "m")
    assert list(FormatAdapter(NoConfig()).formats_of(deployment)) == ["anthropic-messages", "openai-chat"]
    assert FormatAdapter.row is None
