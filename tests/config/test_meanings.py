"""What a field means comes from its class's own docstring."""

from __future__ import annotations

import attrs

from llmgate.config.meanings import key_of, meanings, says_seconds, settable


@attrs.frozen
class Sample:
    """A class.

    Args:
        wait: How long, in
            seconds.
        rows: How many rows: ``a: b``.

    Raises:
        ValueError: never.
    """

    wait: int = 1
    rows: int = 1
    idle_timeout: int = 1
    odd: int = attrs.field(default=1, metadata={"key": "strange", "seconds": True})
    _hidden: int = 1
    made: int = attrs.field(default=1, init=False)


def test_sentences_by_field() -> None:
    assert meanings(Sample) == {"wait": "How long, in seconds.", "rows": "How many rows: ``a: b``."}


def test_keys_and_lengths_of_time() -> None:
    fields = settable(Sample)
    assert [key_of(field) for field in fields] == ["wait", "rows", "idle-timeout", "strange", "hidden"]
    assert [says_seconds(Sample, field) for field in fields] == [True, False, True, True, False]


def test_a_class_without_docstring_means_nothing() -> None:
    assert meanings(type("Bare", (), {})) == {}
