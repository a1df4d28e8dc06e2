"""The Lua that runs inside the server, where it is atomic; the server's clock is the only one.

The rates are the generic cell rate algorithm (ITU-T I.371) as a leaking bucket: ``<units spent> <at>`` under one key,
with the time in microseconds, which a double holds exactly. A script of Redis touches only keys that it is given; these
have one hash tag, so that they are in one slot of a cluster, except where several claims are decided together.

A decision stands though a server that is full cannot remember the word under which it was asked for.
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
local function spent(key, now, capacity, period, ends)
  local kept = redis.call('GET', key)
  if not kept then return 0, now end
  local units, at = string.match(kept, '^(%S+) (%S+)$')
  units, at = tonumber(units), tonumber(at)
  if ends then return units, at end
  local back = math.max(0, now - at) / 1000000 * capacity / period
  return math.max(0, units - back), math.max(now, at)
end

local function keep(key, units, at, capacity, period, ends)
  if units <= 0 then
    redis.call('DEL', key)
    return
  end
  local value = string.format('%.17g %.0f', units, at)
  if capacity <= 0 and not ends then
    redis.call('SET', key, value)
    return
  end
  local life = math.min(math.ceil((ends or units * period / capacity) * 1000) + 1, 1e15)
  redis.call('SET', key, value, 'PX', string.format('%.0f', life))
end

local function decide(units, capacity, period, ends, cost)
  local slack = ends and 0 or math.min(capacity * 1e-9, 0.5)
  local allowed = units + cost <= capacity + slack
  local after, wait, reset = units, 0, 0
  if allowed then
    after = units + cost
  elseif cost > capacity then
    wait = math.huge
  elseif ends then
    wait = ends
  else
    wait = (units + cost - capacity) * period / capacity
  end
  if after > 0 then reset = ends or after * period / capacity end
  local left = math.max(0, math.floor(capacity - after + slack))
  return allowed, after, string.format('%d %.0f %.17g %.17g', allowed and 1 or 0, left, wait, reset)
end
"""

_ONE_RATE: Final = """
local capacity, period, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local ends = tonumber(ARGV[4])
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
local units, at = spent(KEYS[1], clock(), capacity, period, ends)
local allowed, after, answer = decide(units, capacity, period, ends, cost)
if allowed then keep(KEYS[1], after, at, capacity, period, ends) end
if KEYS[2] then redis.pcall('SET', KEYS[2], answer, 'PX', ARGV[5]) end
return answer
"""

_PEEK: Final = """
local units = spent(KEYS[1], clock(), capacity, period, ends)
local _, _, answer = decide(units, capacity, period, ends, cost)
return answer
"""

_REFUND: Final = """
local units, at = spent(KEYS[1], clock(), capacity, period, ends)
keep(KEYS[1], units - cost, at, capacity, period, ends)
return 1
"""

_PLACES: Final = """
local function places(key, now, holder, limit)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now))
  local held, mine = redis.call('ZCARD', key), redis.call('ZSCORE', key, holder)
  return mine or held < limit, held, held + (mine and 0 or 1)
end

local function take(key, now, holder, micros)
  redis.call('ZADD', key, string.format('%.0f', now + micros), holder)
  local last = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')[2]
  redis.call('PEXPIRE', key, string.format('%.0f', math.ceil((tonumber(last) - now) / 1000) + 1))
end

local function told(allowed, held, limit)
  local wait, reset = allowed and 0 or 1, held > 0 and 1 or 0
  return string.format('%d %d %d %d', allowed and 1 or 0, math.max(0, limit - held), wait, reset)
end
"""

_LEASE: Final = """
local now = clock()
if not places(KEYS[1], now, ARGV[1], tonumber(ARGV[2])) then return 0 end
take(KEYS[1], now, ARGV[1], tonumber(ARGV[3]))
return 1
"""

_SEVERAL: Final = """
local function each(visit)
  for i = 1, tonumber(ARGV[1]) do
    local a = 3 + (i - 1) * 5
    local one = {key = KEYS[i], kind = ARGV[a], holder = ARGV[a + 1], limit = tonumber(ARGV[a + 2]),
      micros = tonumber(ARGV[a + 3]), capacity = tonumber(ARGV[a + 1]), period = tonumber(ARGV[a + 2]),
      cost = tonumber(ARGV[a + 3]), ends = tonumber(ARGV[a + 4])}
    if not visit(i, one) then return end
  end
end
"""
"""Defines ``each(visit)`` over claims: how many there are, the life of a word, then five arguments a claim."""

_CLAIM: Final = """
local word = KEYS[tonumber(ARGV[1]) + 1]
local first = word and redis.call('GET', word)
if first then return first end
local now, answers, untaken, plans, refused = clock(), {}, {}, {}, nil
each(function(i, one)
  local allowed
  if one.kind == 'place' then
    local held, after
    allowed, held, after = places(one.key, now, one.holder, one.limit)
    answers[i], untaken[i] = told(allowed, allowed and after or held, one.limit), told(true, held, one.limit)
    plans[i] = function() take(one.key, now, one.holder, one.micros) end
  else
    local units, at = spent(one.key, now, one.capacity, one.period, one.ends)
    local after, _
    allowed, after, answers[i] = decide(units, one.capacity, one.period, one.ends, one.cost)
    _, _, untaken[i] = decide(units, one.capacity, one.period, one.ends, 0)
    plans[i] = function() keep(one.key, after, at, one.capacity, one.period, one.ends) end
  end
  if not allowed then refused = i end
  return allowed
end)
for i, plan in ipairs(plans) do
  if not refused then plan() elseif i < refused then answers[i] = untaken[i] end
end
local answer = table.concat(answers, '|')
if word then redis.pcall('SET', word, answer, 'PX', ARGV[2]) end
return answer
"""

_GIVE_BACK: Final = """
local word = KEYS[tonumber(ARGV[1]) + 1]
if word and redis.call('EXISTS', word) == 1 then return 1 end
local now = clock()
each(function(_, one)
  if one.kind == 'place' then
    redis.call('ZREM', one.key, one.holder)
  else
    local units, at = spent(one.key, now, one.capacity, one.period, one.ends)
    keep(one.key, units - one.cost, at, one.capacity, one.period, one.ends)
  end
  return true
end)
if word then redis.call('SET', word, '1', 'PX', ARGV[2]) end
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
        self.acquire = Script(time + _RATES + _ONE_RATE + _ACQUIRE)
        self.peek = Script(time + _RATES + _ONE_RATE + _PEEK)
        self.refund = Script(time + _RATES + _ONE_RATE + _REFUND)
        self.lease = Script(time + _PLACES + _LEASE)
        self.claim = Script(time + _RATES + _PLACES + _SEVERAL + _CLAIM)
        self.give_back = Script(time + _RATES + _PLACES + _SEVERAL + _GIVE_BACK)
