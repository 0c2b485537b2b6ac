"""schemathesis asks a real server, at every route of `/openapi.json`, for what fits the description and for what does
not: no answer is a 5xx, each has the status, type, headers and shape that the description promises, what does not fit
is refused, what fits is accepted, and what needs a token is refused without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from forebay.server.process import clean_environment
from support.harness import RunningServer, batch, event, serving

pytestmark = pytest.mark.slow

CHECKS = {
    "positive": "positive_data_acceptance",
    "negative": "negative_data_rejection",
}
"""By the data that is asked with. A request with one bad part has good ones, so each kind is looked at by itself."""

ALWAYS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
"""All that apply: no operation links to another, and nothing that is deleted is asked for by the same id again."""

EXAMPLES = 20
"""For each route and mode; with the coverage phase some 40 requests a route, and with 35 routes well under a minute."""

MAX_RUN_SECONDS = 1200.0
"""Ends a run that hangs, many times what one takes."""

SETTINGS = """
[parameters]
# A long poll that is asked for 30 seconds takes them.
"query.timeout" = 20
# One that is longer than any may be makes an address that is: 414.
"query.position" = "1:0.0.0.0"
# With `quarantine`, what does not fit is accepted and quarantined.
"header.Forebay-On-Invalid" = "refuse"

# It would run whatever load fits the description, up to a million events a second for an hour.
[[operations]]
include-name = "POST /api/load-test"
enabled = false
"""

ACCEPTED = """
# Values that fit the description are refused all the same for what the server holds, which no schema tells: there is
# such a partition, but not in this stream; such an offset, but not yet; such a coding, but not of this body; a text,
# but no expression. So these stand still where it is asked whether what fits is accepted, and are varied elsewhere.
"query.partition" = 0
"query.offset" = 0
"query.filter" = "true"
"header.Content-Encoding" = "identity"

[checks.positive_data_acceptance]
# 307, 308: `/` and `/docs/` lead to the page. 422: the key was used before, with another body.
expected-statuses = ["2xx", "307", "308", "401", "403", "404", "409", "422", "429", "5xx"]

# A WebSocket: without an upgrade it is refused.
[[operations]]
include-name = "GET /ws"
enabled = false

# A stream that has every partition there may be.
[[operations]]
include-name = "POST /api/v1/streams/{name}/events"
parameters = {"path.name" = "wide"}

# At the bounds of a list this makes ten thousand events, which takes a generator minutes.
[[operations]]
include-name = "POST /api/v1/streams/{name}/events/batch"
parameters = {"path.name" = "wide"}
phases.coverage.enabled = false

# Which operations may follow each other, the language of predicates, and what there is a stream of, no schema tells.
[[operations]]
include-name = "POST /api/v1/processors"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "409", "429", "5xx"]

[[operations]]
include-name = "POST /api/v1/processors/preview"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "409", "429", "5xx"]

# What a query, a cursor and a position may be, and which parameters go together, no schema tells.
[[operations]]
include-name = "GET /api/v1/platform/system/logs"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "429", "5xx"]

[[operations]]
include-name = "GET /api/v1/platform/system/logs/stats"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "429", "5xx"]

[[operations]]
include-name = "GET /api/v1/platform/system/logs/follow"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "429", "5xx"]

# What the name of a queue may be, no schema of a path tells; and how long a payload is, none of a body.
[[operations]]
include-name = "GET /api/v1/platform/system/queues/{queue}/jobs"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "413", "429", "5xx"]

[[operations]]
include-name = "POST /api/v1/platform/system/queues/{queue}/jobs"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "413", "429", "5xx"]

[[operations]]
include-name = "POST /api/v1/platform/system/queues/{queue}/lease"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "413", "429", "5xx"]

[[operations]]
include-name = "POST /api/v1/platform/system/queues/{queue}/pause"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "413", "429", "5xx"]

[[operations]]
include-name = "POST /api/v1/platform/system/queues/{queue}/resume"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "413", "429", "5xx"]

# Partitions and offsets again, in a body.
[[operations]]
include-name = "POST /api/v1/consumers/{group}/commit"
checks.positive_data_acceptance.enabled = false
"""


def endless(document: dict[str, Any]) -> list[str]:
    """Paths that answer with a stream of events, which ends when its reader has enough."""
    return [
        path
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if "text/event-stream" in operation["responses"].get("200", {}).get("content", {})
    ]


def settings(mode: str) -> str:
    """Returns the settings of a run with data that fits (`positive`), or that does not."""
    if mode == "negative":
        return SETTINGS
    parameters, operations = SETTINGS.split("\n\n", 1)
    return f"{parameters}\n{ACCEPTED}\n{operations}"


def ask(server: RunningServer, directory: Path, mode: str) -> subprocess.CompletedProcess[str]:
    url = f"{server.url}/openapi.json"
    with server.client() as client:
        excluded = endless(client.get("/openapi.json").raise_for_status().json())
    written = directory / "schemathesis.toml"
    written.write_text(settings(mode))
    authorization = f"Authorization: {server.headers['authorization']}"
    return subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "--config-file", str(written), "run", url, "-H", authorization]
        + ["--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--seed", "1", "--mode", mode]
        + [
            "--checks",
            ",".join((*ALWAYS, CHECKS[mode])),
            "--continue-on-failure",
            "--no-color",
            "--request-timeout",
            "20",
        ]
        + [argument for path in excluded for argument in ("--exclude-path", path)],
        cwd=directory,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=MAX_RUN_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("mode", CHECKS)
def test_every_answer_is_as_described(tmp_path: Path, mode: str) -> None:
    with serving(tmp_path / "data", auth=True) as server:
        assert server.drain(batch(*[event(str(number)) for number in range(50)])).status_code == 202
        server.post("/api/v1/streams", {"name": "wide", "partitions": 1024}).raise_for_status()
        ended = ask(server, tmp_path, mode)
        assert ended.returncode == 0, f"schemathesis ended with {ended.returncode}:\n{ended.stdout}\n{ended.stderr}"
        assert "Tested:" in ended.stdout, ended.stdout
