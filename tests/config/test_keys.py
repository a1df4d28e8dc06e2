"""The key table is complete: it is what is read, and each key says what it means."""

from __future__ import annotations

import attrs
import pytest

from llmgate.config.keys import Status, children, key_table
from llmgate.config.model import ServerConfig, StreamConfig
from llmgate.spec import Timeouts


def test_every_key_says_what_it_means_and_stands_once() -> None:
    paths = [key.path for key in key_table()]
    assert len(paths) == len(set(paths))
    assert all(key.meaning and key.type for key in key_table())


def test_every_key_stands_below_a_section_of_the_table() -> None:
    paths = {key.path for key in key_table()}
    orphans = {path for path in paths if "." in path and path.rpartition(".")[0] not in paths}
    assert orphans == set()


@pytest.mark.parametrize(
    ("section", "cls"), [("server", ServerConfig), ("stream", StreamConfig), ("timeouts", Timeouts)]
)
def test_sections_have_the_fields_of_their_classes(section: str, cls: type[attrs.AttrsInstance]) -> None:
    fields = {field.name.replace("_", "-") for field in attrs.fields(cls)}
    assert fields <= set(children(section))


@pytest.mark.parametrize(
    ("path", "kind", "default", "status"),
    [
        ("server.shutdown-timeout", "duration", "30s", Status.WORKS),
        ("timeouts.total", "duration", "15m", Status.WORKS),
        ("server.port", "count", "8080", Status.WORKS),
        ("unified-api.retries.factor", "number", "2", Status.WORKS),
        ("rate-limit-store.type", "in-memory|redis", "", Status.WORKS),
        ("control-plane.retry.strategy", "exponential|constant", "exponential", Status.WORKS),
        ("routers.<router>.load-balance.image", "section", "", Status.NOT_YET),
        ("minio.host", "text", "http://localhost:9000", Status.NEVER),
    ],
)
def test_types_and_defaults(path: str, kind: str, default: str, status: Status) -> None:
    (key,) = [key for key in key_table() if key.path == path]
    assert (key.type, key.default, key.status) == (kind, default, status)


def test_children_are_those_directly_below() -> None:
    assert set(children("discover.monitor.health.grace-period")) == {"min-requests"}
    assert "<router>" not in children("routers")
    assert {"routers", "providers", "server"} <= set(children(""))
