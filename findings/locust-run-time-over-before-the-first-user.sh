#!/usr/bin/env bash
# locust counts --run-time from before its test_start listeners. A listener that blocks for longer than that (a readiness
# check, the making of test data) leaves a run that sends nothing, reports no failure and ends with exit status 0: a job
# in CI that measured nothing is green.
#
# Seen with locust 2.47.0 on CPython 3.11: the aggregated row says 0 requests, status 0; with --run-time 4s the same file
# sends requests. Whoever judges a run has to check that requests were made, or set environment.process_exit_code.
set -euo pipefail
place=$(mktemp -d)
trap 'kill "${server:-0}" 2>/dev/null || true; rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'locust==2.47.0'
mkdir www && echo ok > www/index.html
venv/bin/python -c '
import functools, http.server
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="www")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
print(server.server_port, flush=True)
server.serve_forever()
' > port 2> /dev/null &
server=$!
until [ -s port ]; do sleep 0.1; done
cat > locustfile.py <<'PY'
import time

from locust import HttpUser, constant, events, task


@events.test_start.add_listener
def prepare(environment, **_):
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:  # for example: make the test's data
        pass


class Reader(HttpUser):
    wait_time = constant(0.05)

    @task
    def read(self):
        self.client.get("/")
PY
# Prints "<requests> <exit status>" of a run that is limited to $1.
run() {
  local status=0
  venv/bin/locust --headless -u 1 -t "$1" --host "http://127.0.0.1:$(cat port)" --csv "run-$1" > "log-$1" 2>&1 || status=$?
  venv/bin/python - "run-$1_stats.csv" "$status" <<'PY'
import csv, sys
row = next(row for row in csv.DictReader(open(sys.argv[1])) if row["Name"] == "Aggregated")
print(row["Request Count"], sys.argv[2])
PY
}
venv/bin/locust --version
short=$(run 1s)
long=$(run 4s)
echo "--run-time 1s, a listener of 2 s: requests and exit status: $short"
echo "--run-time 4s, a listener of 2 s: requests and exit status: $long"
[ "$short" = "0 0" ] || { echo "changed: a run that is over before it begins was '0 0'"; exit 1; }
[ "${long%% *}" -gt 0 ] || { echo "changed: a longer run sends nothing either"; exit 1; }
echo "as described"
