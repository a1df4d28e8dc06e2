"""What every secret store promises, kept for secrets of an emulated cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
from cluster_double import ClusterDouble, Recorded
from llmgate_kubernetes.config import KubernetesSecretsConfig
from llmgate_kubernetes.store import KubernetesSecrets

from llmgate.spec import SecretCaching, StageContext
from llmgate.testing.clock import FakeClock
from llmgate.testing.conformance import SecretConformance


class TestKubernetes(SecretConformance):
    stage_class = KubernetesSecrets
    path = "canary"
    notices_within = 60.0
    multiline = True

    @pytest.fixture(autouse=True)
    async def _cluster(self, cluster: ClusterDouble) -> AsyncIterator[None]:
        self.cluster = cluster
        self.transport = Recorded()
        yield
        await self.transport.aclose()

    def make_config(self) -> KubernetesSecretsConfig:
        if not hasattr(self, "cluster"):
            return KubernetesSecretsConfig()
        token = self.cluster.account / "token"
        caching = SecretCaching(pause=1, timeout=40)
        return KubernetesSecretsConfig(
            address=self.cluster.url, token_file=token, watch=False, timeout=20, cache=caching
        )

    def make_context(self, directory: Path, clock: FakeClock) -> StageContext:
        return attrs.evolve(super().make_context(directory, clock), transport=self.transport)

    def plant(self, context: StageContext, path: str, value: str) -> None:  # noqa: ARG002 - the kit's signature
        self.cluster.plant(path, key=value)

    def uproot(self, context: StageContext, path: str) -> None:  # noqa: ARG002 - the kit's signature
        self.cluster.uproot(path)
