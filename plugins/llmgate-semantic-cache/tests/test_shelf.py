"""What is kept, apart by partition and bounded."""

from __future__ import annotations

from array import array

from llmgate_semantic_cache.shelf import Kept, Shelf

from llmgate.spec import Outcome

EAST, NORTH = array("f", [1, 0]), array("f", [0, 1])
NEAR_EAST = array("f", [0.96, 0.28])


def kept(vector: array[float] = EAST, body: bytes = b"a", stored: float = 0.0, literals: tuple[str, ...] = ()) -> Kept:
    return Kept(vector, literals, body, "", Outcome(), "m", stored)


def found(shelf: Shelf, vector: array[float], similarity: float = 0.9, now: float = 0.0) -> bytes | None:
    answer = shelf.find("p", vector, (), similarity, now)
    return None if answer is None else answer[0].body


def test_the_nearest_that_is_near_enough() -> None:
    shelf = Shelf(10, 10, 100.0)
    shelf.keep("p", kept(NEAR_EAST, b"near"))
    shelf.keep("p", kept(NORTH, b"far"))
    assert found(shelf, EAST) == b"near"
    shelf.keep("p", kept(EAST, b"same"))
    assert found(shelf, EAST) == b"same"
    assert found(shelf, NEAR_EAST, 0.999) == b"near"
    assert found(shelf, array("f", [0.8, 0.6]), 0.93) == b"near"
    assert found(shelf, array("f", [-1, 0])) is None


def test_another_partition_is_never_looked_into() -> None:
    shelf = Shelf(10, 10, 100.0)
    shelf.keep("other", kept())
    assert found(shelf, EAST, 0.0) is None
    assert ("other" in shelf, "p" in shelf) == (True, False)


def test_literals_must_agree_where_they_are_asked_for() -> None:
    shelf = Shelf(10, 10, 100.0)
    shelf.keep("p", kept(literals=("2024",)))
    assert shelf.find("p", EAST, ("2025",), 0.9, 0.0) is None
    assert shelf.find("p", EAST, ("2024",), 0.9, 0.0)
    assert shelf.find("p", EAST, None, 0.9, 0.0)


def test_vectors_of_another_model_are_not_compared() -> None:
    shelf = Shelf(10, 10, 100.0)
    shelf.keep("p", kept(array("f", [1, 0, 0])))
    assert found(shelf, EAST) is None


def test_what_is_old_goes() -> None:
    shelf = Shelf(10, 10, 100.0)
    shelf.keep("p", kept(stored=5.0))
    assert found(shelf, EAST, now=104.9) == b"a"
    assert found(shelf, EAST, now=105.0) is None
    assert len(shelf) == 0


def test_bounds_let_go_what_was_used_longest_ago() -> None:
    shelf = Shelf(2, 2, 100.0)
    shelf.keep("p", kept(EAST, b"east"))
    shelf.keep("p", kept(NORTH, b"north"))
    assert found(shelf, EAST) == b"east"
    shelf.keep("p", kept(array("f", [-1, 0]), b"west"))
    assert (found(shelf, NORTH), found(shelf, EAST)) == (None, b"east")
    shelf.keep("q", kept())
    assert found(shelf, EAST)
    shelf.keep("r", kept())
    assert ("p" in shelf, "q" in shelf, len(shelf)) == (True, False, 3)
    shelf.clear()
    assert len(shelf) == 0
