#!/usr/bin/env bash
# Redis begins each error with a code in capitals (WRONGTYPE, MISCONF, …), which clients are told to look at. redis-py keeps
# it as the first word of the exception's text when a command is sent alone. The same error of a command in a pipeline has
# another text, "Command # 1 (…) of pipeline caused error: …", so that the code is no longer its first word. For a code
# without a class of its own, such as WRONGTYPE, the text is all there is to tell errors apart.
#
# Seen with redis 8.1.0 and 5.0.1 on Python 3.11, and Redis 7.0.15. Needs redis-server.
set -euo pipefail
command -v redis-server > /dev/null || { echo "redis-server is not there: apt-get install redis-server"; exit 2; }
place=$(mktemp -d)
trap 'kill "$(cat "$place/pid" 2>/dev/null)" 2>/dev/null; rm -rf "$place"' EXIT
cd "$place"
redis-server --unixsocket "$place/socket" --port 0 --save '' --daemonize yes --pidfile "$place/pid" --dir "$place" > /dev/null
cat > look.py <<'PY'
import sys
import redis

client = redis.Redis(unix_socket_path=sys.argv[1])
client.set("text", "x")
try:
    client.hlen("text")
except redis.ResponseError as error:
    print("alone:", type(error).__name__, str(error).split()[0])
try:
    with client.pipeline(transaction=False) as pipeline:
        pipeline.hlen("text")
        pipeline.execute()
except redis.ResponseError as error:
    print("pipeline:", type(error).__name__, str(error)[:64])
PY
for version in 8.1.0 5.0.1; do
    python3 -m venv "$version"
    "$version/bin/pip" install --quiet --disable-pip-version-check "redis==$version"
    echo "redis $version"
    "$version/bin/python" look.py "$place/socket"
done | tee seen
diff seen - <<'SEEN' || { echo "changed"; exit 1; }
redis 8.1.0
alone: ResponseError WRONGTYPE
pipeline: ResponseError Command # 1 (HLEN text) of pipeline caused error: WRONGTYPE Oper
redis 5.0.1
alone: ResponseError WRONGTYPE
pipeline: ResponseError Command # 1 (HLEN text) of pipeline caused error: WRONGTYPE Oper
SEEN
echo "as described"
