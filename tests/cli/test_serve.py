"""What ``llmgate serve`` refuses before it serves; the serving itself is in end_to_end/."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import socket
from typing import get_args

import pytest

from llmgate.cli import serve
from llmgate.config.model import ServerConfig
from llmgate.config.server import LoopName, ServerName


@pytest.fixture
def parse():
    parser = argparse.ArgumentParser()
    serve.add_parser(parser.add_subparsers())
    return lambda *arguments: parser.parse_args(["serve", *arguments])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "65536"],
        ["--port", "-1"],
        ["--port", "x"],
        ["--shutdown-grace", "-1"],
        ["--workers", "0"],
        ["--workers", "257"],
        ["--workers", "many"],
    ],
)
def test_numbers_out_of_range_are_refused(parse, arguments, capsys):
    with pytest.raises(SystemExit) as refused:
        parse(*arguments)
    assert refused.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_the_choices_are_those_of_the_configuration():
    assert (get_args(ServerName), get_args(LoopName)) == (serve.SERVERS, serve.LOOPS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--server", "granian"], "granian cannot keep what llmgate promises"),
        (["--server", "gunicorn"], "servers are hypercorn and uvicorn"),
        (["--loop", "trio"], "--loop"),
    ],
)
def test_another_server_or_loop_is_refused(parse, arguments, said, capsys):
    with pytest.raises(SystemExit) as refused:
        parse(*arguments)
    assert refused.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EADDRINUSE, "in use"), (errno.EACCES, "1024"), (errno.EADDRNOTAVAIL, "assign")]
)
def test_an_address_that_cannot_be_had_is_explained(number, words):
    problem = serve._bind_problem(ServerConfig(port=81), OSError(number, os.strerror(number)))
    assert problem.startswith("cannot listen on 127.0.0.1:81: ")
    assert words in problem


def test_what_is_not_given_is_left_to_the_configuration(parse):
    args = parse()
    assert (args.host, args.port, args.workers, args.shutdown_grace, args.allow_open) == (None, None, None, None, False)


def test_a_port_in_use_is_one_line_and_leaves_the_signals_as_they_were(parse, here, own_logging, capsys):
    before = signal.getsignal(signal.SIGHUP)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert serve.run(parse("--port", str(taken.getsockname()[1]))) == 1
    assert "the port is in use" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGHUP) is before


def test_an_open_door_is_refused_before_anything_is_bound(parse, here, own_logging, monkeypatch, capsys):
    monkeypatch.setattr("llmgate.host.server.bind", lambda *_: pytest.fail("bound"))
    assert serve.run(parse("--host", "0.0.0.0")) == 2
    assert capsys.readouterr().err.startswith("llmgate: refusing to listen on 0.0.0.0")


def test_a_hangup_before_there_is_anything_to_reload_does_nothing():
    before = signal.getsignal(signal.SIGHUP)
    with serve._no_hangup():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is before
