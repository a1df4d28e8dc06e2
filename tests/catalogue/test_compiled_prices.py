"""The price catalogue is what its script makes of the source that is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = ROOT / "src" / "llmgate" / "catalogue" / "data" / "prices"


def test_the_files_are_those_that_the_script_writes(tmp_path: Path) -> None:
    date = DATA.joinpath("index.json").read_text(encoding="utf-8").partition('"date": "')[2][:10]
    script = ROOT / "tools" / "compile_prices.py"
    subprocess.run([sys.executable, script, "--date", date, "--output", tmp_path], check=True, timeout=150)
    written = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    kept = {path.name: path.read_text(encoding="utf-8") for path in DATA.iterdir()}
    assert written == kept, "the prices are not those of the installed genai-prices: run `make prices`"
