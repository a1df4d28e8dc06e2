from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from identity_provider import IdentityProvider, playing_issuer
from opener import Opener


@pytest.fixture
def issuer() -> Iterator[IdentityProvider]:
    with playing_issuer() as one:
        yield one


@pytest.fixture
async def opened(issuer: IdentityProvider, tmp_path: Path) -> AsyncIterator[Opener]:
    opener = Opener(issuer, tmp_path)
    yield opener
    await opener.aclose()
