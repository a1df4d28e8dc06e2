"""What pages load is in the package, as it was published, and every link to it leads somewhere."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import llmgate_dashboard
from llmgate_dashboard.rendering import Press

from llmgate.spec import zone_named

STATIC = Path(llmgate_dashboard.__file__).parent / "static"
NOTICES = Path(__file__).parents[1] / "THIRD_PARTY_NOTICES.md"


def test_each_library_is_the_one_that_the_notices_name() -> None:
    named = dict(re.findall(r"(?m)^\| `(\S+)` \| .* \| `([0-9a-f]{64})` \|$", NOTICES.read_text()))
    assert named == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in STATIC.glob("*.min.*")}


def test_nothing_of_ours_asks_anybody_else_or_evaluates_text() -> None:
    for name in ("app.js", "app.css", "icon.svg"):
        text = (STATIC / name).read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//[a-z]|@import|eval\(|new Function|innerHTML|\.style\b", text), name


def test_files_are_kept_by_browsers_and_others_are_not_found() -> None:
    press = Press.load("llmgate", zone_named("UTC"))
    found = press.file("app.js")
    assert found is not None
    assert found.content_type.startswith("text/javascript")
    assert dict(found.headers)["cache-control"].endswith("immutable")
    assert {path.name for path in STATIC.iterdir()} == set(press.files)
    for name in ("", "..", "../config.py", "%2e%2e", "base.html"):
        assert press.file(name) is None
