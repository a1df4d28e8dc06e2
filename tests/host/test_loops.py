"""Which loop a server runs on, and what is said when a choice is not there."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from llmgate.config.model import ServerConfig
from llmgate.host import loops
from llmgate.host.loops import loop_factory, loop_name, require_installed


@pytest.mark.parametrize(
    ("use", "loop", "name"),
    [
        ("hypercorn", "auto", "asyncio"),
        ("uvicorn", "auto", "uvloop"),
        ("hypercorn", "uvloop", "uvloop"),
        ("uvicorn", "asyncio", "asyncio"),
    ],
)
def test_auto_takes_uvloop_with_uvicorn(use, loop, name):
    assert loop_name(ServerConfig(use=use, loop=loop)) == name


def without(monkeypatch, *missing: str) -> None:
    real = loops.importlib.util.find_spec
    monkeypatch.setattr(
        loops.importlib.util, "find_spec", lambda name, *rest: None if name in missing else real(name, *rest)
    )


def test_auto_does_without_uvloop(monkeypatch):
    without(monkeypatch, "uvloop")
    server = ServerConfig(use="uvicorn")
    assert loop_name(server) == "asyncio"
    require_installed(server)


@pytest.mark.parametrize(
    ("missing", "server"),
    [
        ("uvicorn", ServerConfig(use="uvicorn")),
        ("httptools", ServerConfig(use="uvicorn")),
        ("uvloop", ServerConfig(loop="uvloop")),
    ],
)
def test_what_is_not_there_is_named(monkeypatch, missing, server):
    without(monkeypatch, missing)
    with pytest.raises(ModuleNotFoundError) as caught:
        require_installed(server)
    assert caught.value.name == missing


@pytest.mark.parametrize(("name", "kind"), [("asyncio", asyncio.SelectorEventLoop), ("uvloop", uvloop.Loop)])
def test_a_factory_makes_the_loop_of_its_name(name, kind):
    loop = loop_factory(name)()
    try:
        assert isinstance(loop, kind)
    finally:
        loop.close()
