"""The Lua that runs inside the server, where it is atomic; the server's clock is the only one.

The rates are the generic cell rate algorithm (ITU-T I.371) as a leaking bucket: ``<units spent> <at>`` under one key,
with the time in microseconds, which a double holds exactly. A script of Redis touches only keys that it is given, and
these have one hash tag, so that they are in one slot of a cluster.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Final

import attrs

__all__ = ["SERVER_TIME", "Script", "Scripts"]

SERVER_TIME: Final = """
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
"""
"""Defines ``clock()``, microseconds since the epoch; every replica of the gateway gets the same."""

_RATES: Final = """
local function spent(now, capacity, period)
  local kept = redis.call('GET', KEYS[1])
  if not kept then return 0, now end
  local units, at = string.match(kept, '^(%S+) (%S+)$')
  units, at = tonumber(units), tonumber(at)
  local back = math.max(0, now - at) / 1000000 * capacity / period
  return math.max(0, units - back), math.max(now, at)
end

local function keep(units, at, capacity, period)
  if units <= 0 then
    redis.call('DEL', KEYS[1])
    return
  end
  local value = string.format('%.17g %.0f', units, at)
  if capacity <= 0 then
    redis.call('SET', KEYS[1], value)
    return
  end
  local life = math.min(math.ceil(units * period / capacity * 1000) + 1, 1e15)
  redis.call('SET', KEYS[1], value, 'PX', string.format('%.0f', life))
end

local function decide(units, capacity, period, cost)
  local slack = capacity * 1e-9
  local allowed = units + cost <= capacity + slack
  local after, wait, reset = units, 0, 0
  if allowed then
    after = units + cost
  elseif cost > capacity then
    wait = math.huge
  else
    wait = (units + cost - capacity) * period / capacity
  end
  if after > 0 then reset = after * period / capacity end
  local left = math.max(0, math.floor(capacity - after + slack))
  return allowed, after, string.format('%d %.0f %.17g %.17g', allowed and 1 or 0, left, wait, reset)
end

local capacity, period, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
"""

_ADD: Final = """
if KEYS[2] and redis.call('EXISTS', KEYS[2]) == 1 then
  return redis.call('GET', KEYS[1]) or '0'
end
local new = redis.call('EXISTS', KEYS[1]) == 0
redis.call('INCRBY', KEYS[1], ARGV[1])
local value = redis.call('GET', KEYS[1])
if new and ARGV[2] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if KEYS[2] then redis.call('SET', KEYS[2], '1', 'PX', ARGV[3]) end
return value
"""

_ACQUIRE: Final = """
if KEYS[2] then
  local first = redis.call('GET', KEYS[2])
  if first then return first end
end
local units, at = spent(clock(), capacity, period)
local allowed, after, answer = decide(units, capacity, period, cost)
if allowed then keep(after, at, capacity, period) end
if KEYS[2] then redis.call('SET', KEYS[2], answer, 'PX', ARGV[4]) end
return answer
"""

_PEEK: Final = """
local units = spent(clock(), capacity, period)
local _, _, answer = decide(units, capacity, period, cost)
return answer
"""

_REFUND: Final = """
local units, at = spent(clock(), capacity, period)
keep(units - cost, at, capacity, period)
return 1
"""

_LEASE: Final = """
local now = clock()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
  return 0
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[3])), ARGV[1])
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil((tonumber(last) - now) / 1000) + 1))
return 1
"""


@attrs.frozen
class Script:
    """A script, called by its digest.

    Args:
        text: The Lua.
    """

    text: str

    @functools.cached_property
    def digest(self) -> str:
        """What ``EVALSHA`` calls it: the protocol's SHA-1."""
        return hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class Scripts:
    """The scripts of the store.

    Args:
        time: Lua that defines ``clock()``.
    """

    def __init__(self, time: str = SERVER_TIME) -> None:
        self.add = Script(_ADD)
        self.acquire = Script(time + _RATES + _ACQUIRE)
        self.peek = Script(time + _RATES + _PEEK)
        self.refund = Script(time + _RATES + _REFUND)
        self.lease = Script(time + _LEASE)
