"""The built-in auth providers keep what the kit asks of any."""

from __future__ import annotations

from llmgate.spec import Credentials, SecretRef
from llmgate.stages.auth.anonymous import Anonymous
from llmgate.stages.auth.keys import hash_of
from llmgate.stages.auth.static_keys import StaticKey, StaticKeys, StaticKeysConfig
from llmgate.testing.conformance import AuthConformance

LISTED = "sk-lg-" + "a" * 43
KEPT = "kept-as-a-secret-1234567890"
EXPIRED = "sk-lg-" + "e" * 43


class TestStaticKeys(AuthConformance):
    stage_class = StaticKeys
    config = StaticKeysConfig(
        keys=(
            StaticKey(name="alice", hash=hash_of(LISTED)),
            StaticKey(name="bob", secret=SecretRef("env", "BOB_KEY")),
            StaticKey(name="carol", hash=hash_of(EXPIRED), expires="2023-01-01"),
        )
    )
    secrets = {"env:BOB_KEY": KEPT}
    valid = (
        Credentials.of(LISTED),
        Credentials.of(KEPT),
        Credentials(tokens={"x-api-key": LISTED}),
        Credentials(tokens={"helicone-auth": LISTED, "authorization": "sk-somebody-elses"}),
    )
    bad = (
        Credentials.of("sk-lg-" + "b" * 43),
        Credentials.of(EXPIRED),
        Credentials.of(LISTED[:-1]),
        Credentials.of(hash_of(LISTED)),
        Credentials(tokens={"helicone-auth": "sk-nobody", "authorization": LISTED}),
    )
    strangers = (Credentials.of(""), Credentials(tokens={"x-api-key": " "}), Credentials(headers={"cookie": "a=b"}))


class TestAnonymous(AuthConformance):
    stage_class = Anonymous
    accepts_anybody = True
    valid = (Credentials(), Credentials.of("anything"))
