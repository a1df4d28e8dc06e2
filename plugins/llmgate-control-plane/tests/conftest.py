from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from plane_bench import opener, plane

__all__ = ["opener", "plane"]
