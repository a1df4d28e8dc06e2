from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from bao_server import bao
from vault_opener import kv, opened

__all__ = ["bao", "kv", "opened"]
