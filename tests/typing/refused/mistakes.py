"""What the types must not let pass; each wrong line ends with the code of its error."""

from __future__ import annotations

from llmgate import Pipeline
from llmgate.spec import Credentials, GatewayRequest, Logger, NoConfig, Principal, Record, SecretRef


async def mistakes(pipeline: Pipeline, request: GatewayRequest) -> None:
    await pipeline.complete("echo", messages=[])  # E: arg-type
    await pipeline.complete(model="echo", messages=[], timeout="30")  # E: arg-type
    await pipeline.complete(model="echo", messages=[], principal="alice")  # E: arg-type
    answer = await pipeline.complete(model="echo", messages=[])
    answer.text = "changed"  # E: misc
    print(answer.txt)  # E: attr-defined
    await pipeline.stream(model="echo", messages=[])  # E: misc
    for chunk in pipeline.stream(model="echo", messages=[]):  # E: attr-defined
        print(chunk)
    request.model = "other"  # E: misc
    Principal(name="alice")  # E: call-arg
    Credentials.of(b"key")  # E: arg-type
    SecretRef("env")  # E: call-arg


class Count(Logger[NoConfig]):
    name = "count"

    def record(self, record: Record) -> None:  # E: override
        print(record.costs)  # E: attr-defined
