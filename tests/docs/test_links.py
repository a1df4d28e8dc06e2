"""Links between pages lead somewhere; the documentation builds without a warning."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["README.md", "SECURITY.md", "CONTRIBUTING.md", "plugins/README.md"])
def test_links_of_pages_outside_the_documentation_lead_to_files(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text) + re.findall(r"`(docs/[\w/.-]+)`", text)
    assert [target for target in targets if not (ROOT / target).exists()] == []


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", str(tmp_path / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "html" / "reference" / "providers.html").exists()
