"""For applications that call a vendor directly: tells a gateway of each call afterwards, without waiting for it.

``CallLogger`` and ``AsyncCallLogger`` take finished calls and send them from threads of their own to
``POST /v1/log/request``, where they are priced and recorded as if they had gone through.
"""

from __future__ import annotations

from .delivery import Delivery
from .direct_call import DirectCall
from .loggers import AsyncCallLogger, CallLogger
from .outbox import Counts

__all__ = ["AsyncCallLogger", "CallLogger", "Counts", "Delivery", "DirectCall"]
