"""``llmgate models``: what can be asked for, and what providers say that they have."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import attrs
import pytest

from llmgate.cli import main
from llmgate.testing.samples import sample_record


@pytest.fixture
def provider():
    """A provider on loopback whose list of models a test can change."""
    answers = {"models": ["one", "two"], "status": 200}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            priced = {"pricing": answers["pricing"]} if "pricing" in answers else {}
            value = {"data": [{"id": name, "context_window": 9000, **priced} for name in answers["models"]]}
            body = json.dumps(value).encode()
            self.send_response(answers["status"])
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1", answers
    server.shutdown()
    thread.join()
    server.server_close()


def configure(here, address, **more):
    config = {"providers": {"local": {"base-url": address, "keyless": True}}, **more}
    (here / "llmgate.yaml").write_text(json.dumps(config))


def test_lists_are_asked_for_and_kept(here, capsys, provider):
    address, answers = provider
    configure(here, address, **{"model-lists": {"file": "kept.json"}})
    assert main(["models", "sync"]) == 0
    assert "local     2       -    -" in capsys.readouterr().out
    answers["models"] = ["two", "three", "four"]
    assert main(["models", "sync"]) == 0
    assert "local     3       2    1" in capsys.readouterr().out
    assert main(["models", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed[0] == {"id": "local/two", "owned_by": "local", "context_window": 9000, "mapping": "pending"}
    assert main(["models", "list"]) == 0
    assert "local/three  9,000    -       pending" in capsys.readouterr().out


def test_models_without_a_price_are_told_and_records_reckoned_once_there_is_one(here, capsys, provider):
    address, answers = provider
    configure(here, address, **{"model-lists": {"file": "kept.json"}})
    attempt = attrs.evolve(sample_record().attempts[0], provider_name="local", model="one")
    waiting = sample_record(attempts=(attempt,), metadata={"llmgate.mapping": "pending"})
    text = f"{json.dumps(waiting.as_json())}\nnonsense\n{json.dumps(sample_record(cost_nano=7).as_json())}\n"
    (here / "records.jsonl").write_text(text)
    assert main(["models", "map", "--now"]) == 0
    shown = capsys.readouterr().out
    assert "2 models have no price" in shown
    assert "local/one: pending" in shown
    answers["pricing"] = {"prompt": "0.000001", "completion": "0.00001"}
    assert main(["models", "map", "--now"]) == 0
    shown = capsys.readouterr().out
    assert "0 models have no price" in shown
    assert "local/one  input   -       1" in shown
    assert main(["models", "map", "--records", "records.jsonl", "--output", "new.jsonl"]) == 0
    told = capsys.readouterr()
    assert "1 records have a cost now, 0.000039000 USD together" in told.out
    assert "records.jsonl:2: no record" in told.err
    assert (here / "records.jsonl").read_text() == text
    first, nonsense, other = (here / "new.jsonl").read_text().splitlines()
    assert json.loads(first)["cost_nano"] == 39_000
    assert json.loads(first)["metadata"] == {"llmgate.mapping": "back-filled"}
    assert (nonsense, json.loads(other)["cost_nano"]) == ("nonsense", 7)


def test_the_file_may_be_named_on_the_command_line(here, capsys, provider):
    configure(here, provider[0])
    assert main(["models", "sync", "--output", "there.json"]) == 0
    assert (here / "there.json").exists()
    assert main(["models", "sync"]) == 0
    assert (here / "llmgate-models.json").exists()
    assert "written to llmgate-models.json" in capsys.readouterr().out


def test_a_provider_that_gives_none_is_named(here, capsys, provider):
    address, answers = provider
    answers["status"] = 500
    configure(here, address)
    assert main(["models", "sync"]) == 1
    complaint = capsys.readouterr().err
    assert "local: provider 'local' answered 500" in complaint
    assert "no provider gave a list" in complaint
    assert not (here / "llmgate-models.json").exists()
