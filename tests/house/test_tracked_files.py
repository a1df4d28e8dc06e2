"""Nothing in the repository names the machine, the people or the mirrors that it was made with."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Each pattern has a character in brackets, so that this file does not contain what it looks for.
FORBIDDEN = {
    "a home directory": re.compile(rb"(?<![\w.-])/(?:h[o]me|User[s])/[a-z][\w.-]*/"),
    "the superuser's home": re.compile(rb"(?<![\w.-])/roo[t](?:/|\b)"),
    "a working tree": re.compile(rb"(?<![\w.}-])/wor[k](?:space)?/[a-z]"),
    "a package index": re.compile(rb"--(?:extra-)?index-ur[l]|index-ur[l] *=|/simpl[e]/"),
    "a private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KE[Y]-----"),
}


def tracked() -> list[Path]:
    """Every file that is, or would be, committed."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = (ROOT / name for name in listing.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def test_no_file_names_a_machine_or_a_mirror():
    paths = tracked()
    faults = [
        f"{path.relative_to(ROOT)}: {what}: {found.group()!r}"
        for path in paths
        for what, pattern in FORBIDDEN.items()
        if (found := pattern.search(path.read_bytes()))
    ]
    assert len(paths) > 50
    assert not faults, "\n".join(faults)


def test_the_lock_pins_by_hash_and_names_no_address():
    """So that it installs from any mirror, and from no other content than was locked."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = re.findall(r"(?m)^([a-z0-9._-]+)==(\S+)(.*?)(?=^[a-z0-9]|\Z)", text, flags=re.DOTALL)
    assert len(pins) > 20
    assert [name for name, _, rest in pins if "--hash=sha256:" not in rest] == []
    assert "://" not in text


def test_no_pyproject_names_an_index():
    for path in [ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")]:
        uv = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("uv", {})
        assert not {"index", "index-url", "extra-index-url"} & uv.keys(), path
