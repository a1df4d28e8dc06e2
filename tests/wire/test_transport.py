"""The transport against a real server on loopback; simple mapping by aioresponses."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aioresponses import CallbackResult, aioresponses
from conftest import RequestMaker

from llmgate.spec import (
    ProviderConnectionError,
    ProviderError,
    ProviderProtocolError,
    ProviderRequest,
    ProviderTimeoutError,
    Timeouts,
)
from llmgate.testing.upstream import FakeUpstream, chat_events
from llmgate.wire.egress import PUBLIC_TARGETS
from llmgate.wire.transport import AiohttpTransport
