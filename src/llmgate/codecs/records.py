"""Records as the JSON that is kept of them, written once for whoever wants it."""

from __future__ import annotations

from llmgate.spec import Record

from .jsons import dumps_plain

__all__ = ["written"]


def written(record: Record) -> bytes:
    """A record as compact JSON on one line, with its content; remembered with the record.

    Raises:
        JSONError: something in it is no JSON.
    """
    if record.encoded is None:
        object.__setattr__(record, "encoded", dumps_plain(record.as_json()))  # frozen, but for this
    found = record.encoded
    assert found is not None, "it has just been written"
    return found
