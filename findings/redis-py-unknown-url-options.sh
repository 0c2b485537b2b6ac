#!/usr/bin/env bash
# redis-py takes any option in the address of a Redis: `from_url` succeeds with one that it does not know, such as a
# misspelt timeout, and the first command raises TypeError, which is no RedisError. A program that catches RedisError and
# OSError where it talks to Redis, as the documentation of the client suggests, does not catch this one, and meets it only
# when it first needs Redis. Calling `make_connection()` of the pool once at the start, which connects to nothing, finds it.
#
# Seen with redis 8.1.0 and 5.0.1 on Python 3.11.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
cat > look.py <<'PY'
import asyncio
import redis
from redis import asyncio as client

pool = client.ConnectionPool.from_url("redis://127.0.0.1:1/0?socket_timeuot=1")
print("from_url: ok")

async def ask():
    await client.Redis(connection_pool=pool).get("x")

try:
    asyncio.run(ask())
except Exception as error:
    kind = "a RedisError or OSError" if isinstance(error, (redis.RedisError, OSError)) else "neither RedisError nor OSError"
    print(f"first command: {type(error).__name__}, {kind}")
try:
    pool.make_connection()
except TypeError:
    print("make_connection: TypeError")
PY
for version in 8.1.0 5.0.1; do
    python3 -m venv "$version"
    "$version/bin/pip" install --quiet --disable-pip-version-check "redis==$version"
    echo "redis $version"
    "$version/bin/python" look.py
done | tee seen
diff seen - <<'SEEN' || { echo "changed"; exit 1; }
redis 8.1.0
from_url: ok
first command: TypeError, neither RedisError nor OSError
make_connection: TypeError
redis 5.0.1
from_url: ok
first command: TypeError, neither RedisError nor OSError
make_connection: TypeError
SEEN
echo "as described"
