"""What every auth provider promises, kept with keys of Helicone's and with issued ones."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import attrs
from llmgate_control_plane import ControlPlane, ControlPlaneConfig
from llmgate_control_plane.keys import written_key
from plane_bench import CREDENTIAL, KEY, PEPPER, full, issued, update

from llmgate.spec import Credentials, SecretRef, StageContext
from llmgate.testing import FakeClock, ScriptedTransport
from llmgate.testing.conformance import AuthConformance
from llmgate.testing.sockets import ScriptedSocket


class TestHelicones(AuthConformance):
    stage_class = ControlPlane
    secrets: ClassVar = {"env:HELICONE_CONTROL_PLANE_API_KEY": CREDENTIAL}
    valid: ClassVar = (
        Credentials.of(KEY),
        Credentials(tokens={"helicone-auth": KEY}),
        Credentials(tokens={"api-key": KEY}),
    )
    bad: ClassVar = (Credentials.of("sk-helicone-unknown"), Credentials.of(KEY[:-1]), Credentials.of(f"Bearer {KEY}"))

    def make_context(self, directory: Path, clock: FakeClock) -> StageContext:
        sockets = [ScriptedSocket(full(KEY)) for _ in range(4)]
        return attrs.evolve(super().make_context(directory, clock), transport=ScriptedTransport(sockets))


class TestIssued(AuthConformance):
    stage_class = ControlPlane
    secrets: ClassVar = {"env:HELICONE_CONTROL_PLANE_API_KEY": CREDENTIAL, "env:LLMGATE_KEY_PEPPER": PEPPER}
    valid: ClassVar = (Credentials.of("sk-lg-good"),)
    bad: ClassVar = (
        Credentials.of("sk-lg-nobodys"),
        Credentials.of("sk-lg-late"),
        Credentials.of("sk-lg-far"),
        Credentials(tokens={"authorization": "sk-lg-far"}, client_address="198.51.100.7"),
    )

    def make_config(self) -> ControlPlaneConfig:
        return ControlPlaneConfig(pepper=SecretRef("env", "LLMGATE_KEY_PEPPER"))

    def make_context(self, directory: Path, clock: FakeClock) -> StageContext:
        keys = [
            issued("sk-lg-good"),
            issued("sk-lg-late", ends_at=clock.now()),
            issued("sk-lg-far", addresses=("192.0.2.0/24",)),
        ]
        said = update(
            "Snapshot",
            epoch="e",
            revision=3,
            part=0,
            last=True,
            beat=5.0,
            age=0.0,
            keys=[written_key(key) for key in keys],
        )
        sockets = [ScriptedSocket(said) for _ in range(4)]
        return attrs.evolve(super().make_context(directory, clock), transport=ScriptedTransport(sockets))
