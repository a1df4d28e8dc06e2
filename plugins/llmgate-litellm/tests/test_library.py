"""litellm is brought in late, quietly, and let go of by the last who uses it."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest
from llmgate_litellm import library
from llmgate_litellm.adapter import LiteLLM
from llmgate_litellm.config import LiteLLMConfig

from llmgate.spec import PluginError


async def test_it_is_imported_when_the_adapter_opens_beside_the_loop_and_quiet(
    litellm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    plain = library.importlib.import_module

    def noting(name: str) -> Any:
        threads.append(threading.current_thread())
        return plain(name)

    monkeypatch.setattr(library.importlib, "import_module", noting)
    no_context: Any = None
    adapter = LiteLLM(LiteLLMConfig())
    assert "litellm" not in sys.modules
    await adapter.open(no_context)
    assert threads[0] is not threading.main_thread()
    module = litellm.module
    assert module.IMPORTED_WITH["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"
    assert module.IMPORTED_WITH["LITELLM_MODE"] == "PRODUCTION", "it reads a .env otherwise"
    assert module.callbacks == module.success_callback == []
    assert module.num_retries is module.fallbacks is None
    assert module.drop_params is False
    another = LiteLLM(LiteLLMConfig())
    await another.open(no_context)
    await adapter.aclose()
    await adapter.aclose()
    assert module.CLOSED == [], "another provider uses its connections"
    await another.aclose()
    assert module.CLOSED == ["clients"]


async def test_what_the_embedding_application_has_set_up_stays(litellm: Any) -> None:
    import litellm as theirs

    theirs.callbacks = ["mine"]
    adapter = LiteLLM(LiteLLMConfig())
    no_context: Any = None
    await adapter.open(no_context)
    await adapter.aclose()
    assert theirs.callbacks == ["mine"]
    assert litellm.module.CLOSED == [], "and so do its connections"


@pytest.mark.usefixtures("litellm")
async def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litellm", None)
    no_context: Any = None
    with pytest.raises(PluginError, match="pip install llmgate-litellm"):
        await LiteLLM(LiteLLMConfig()).open(no_context)
