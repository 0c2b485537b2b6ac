"""What Redis runs as one step: no other command comes in between, and each first looks whose the lease is."""

from __future__ import annotations

TAKE = """
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, -string.len(ARGV[1])) ~= ARGV[1] then return {0, held} end
if not held then
  held = redis.call('INCR', KEYS[2]) .. ':' .. ARGV[1]
end
redis.call('SET', KEYS[1], held, 'PX', ARGV[2])
return {1, held}
"""
"""Takes the lease when nobody has it, with the next number. One whose answer was lost is recognised by the writer.

Keys: lease, fence. Arguments: writer, milliseconds.
"""

TAKE_CALLS = 4
"""The most commands of `TAKE`, itself included."""

FREE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
"""Gives the lease back, if it is still this one. Keys: lease. Arguments: its value."""

WRITE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'fenced' end
if ARGV[3] ~= '' then
  local sequence = redis.call('HGET', KEYS[2], 'sequence')
  if sequence ~= ARGV[3] and sequence ~= ARGV[4] then return 'lost' end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if ARGV[3] == '' then redis.call('UNLINK', KEYS[2], KEYS[3]) end
local key, at = 4, 12
local removed = tonumber(ARGV[11])
if removed > 0 then
  redis.call('UNLINK', unpack(KEYS, key, key + removed - 1))
  redis.call('ZREM', KEYS[3], unpack(KEYS, key, key + removed - 1))
  key = key + removed
end
local index = {}
while key <= #KEYS do
  local last = at + 2 + tonumber(ARGV[at + 2])
  if ARGV[at] == 'replace' then redis.call('UNLINK', KEYS[key]) end
  redis.call('HSET', KEYS[key], unpack(ARGV, at + 3, last))
  redis.call('PEXPIREAT', KEYS[key], ARGV[at + 1])
  index[#index + 1] = ARGV[at + 1]
  index[#index + 1] = KEYS[key]
  key, at = key + 1, last + 1
end
if #index > 0 then redis.call('ZADD', KEYS[3], unpack(index)) end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', ARGV[10])
redis.call('PEXPIREAT', KEYS[3], ARGV[9])
redis.call('HSET', KEYS[2], 'totals', ARGV[5], 'updatedAt', ARGV[6], 'writer', ARGV[7], 'fence', ARGV[8],
  'sequence', ARGV[4])
redis.call('PEXPIREAT', KEYS[2], ARGV[9])
return 'written'
"""
"""Writes one batch and renews the lease.

Keys: lease, totals, index, the hashes to remove, the hashes to write.
Arguments: 1 the lease's value; 2 its milliseconds; 3 the sequence that Redis must be at, empty when it may be at any;
4 the next one; 5 to 8 totals in JSON, the time, writer, fence; 9 when the totals expire; 10 now; 11 how many hashes to
remove; then for each hash to write `add` or `replace`, when it expires, the number of fields and values, and these.

The sequence is written last, and tells a Redis that has lost writes: it was restarted with an older file, or a replica
became the primary. One that is there already means that the answer to the same write was lost.

The first command that writes is the SET: out of memory Redis refuses it, and not what follows a command such as UNLINK.
"""

WRITE_CALLS = 12
"""The commands of `WRITE` beside those of its hashes, itself included."""

HASH_CALLS = 3
"""The most commands of one hash in `WRITE`."""
