"""What every provider adapter promises, kept by ``bedrock-sigv4``; the kit's key is the name of the signing key."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
from llmgate_bedrock.adapter import BedrockSigV4

from llmgate.codecs.aws_keys import Keys
from llmgate.spec import AttemptCall, ProviderRow, Secret, SecretRef
from llmgate.testing.conformance import ProviderConformance


class TestConverse(ProviderConformance):
    stage_class = BedrockSigV4
    wire_format = "bedrock-converse"
    model = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    golden = Path(__file__).parent / "golden"
    refuses = frozenset({"full", "media"})
    row: ClassVar[ProviderRow | None] = ProviderRow(
        name="bedrock",
        title="AWS Bedrock",
        base_url="https://bedrock-runtime.eu-central-1.amazonaws.com",
        formats={"bedrock-converse": "/model/{model}/converse"},
        key_variables=("AWS_BEARER_TOKEN_BEDROCK",),
        stream_usage="always",
    )

    def make_call(self, *arguments: Any, **options: Any) -> AttemptCall:
        call = super().make_call(*arguments, **options)
        if call.secret is None:
            return call
        keys = Keys(call.secret.reveal(), "secret-of-the-kit")
        return attrs.evolve(call, secret=Secret(keys.to_text(), ref=SecretRef("env", "CONFORMANCE_KEY")))

    @pytest.mark.xfail(reason="arguments are a JSON object in this format: the blanks between them are not kept")
    def test_reads_a_whole_answer(self) -> None:
        super().test_reads_a_whole_answer()

    @pytest.mark.xfail(reason="a stream that closes behind messageStop is whole, only its usage is not told")
    def test_a_cut_stream_is_an_error(self) -> None:
        super().test_a_cut_stream_is_an_error()

    @pytest.mark.xfail(reason="usage is part of every stream and nothing that is asked for")
    def test_withholds_the_usage_event_it_asked_for(self) -> None:
        super().test_withholds_the_usage_event_it_asked_for()
