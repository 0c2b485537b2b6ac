"""schemathesis asks a real server, at every route of `/openapi.json`, for what fits the description and for what does
not: no answer is a 5xx, each has the status, type, headers and shape that the description promises, what does not fit
is refused, and what needs a token is refused without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from harness import RunningServer, batch, clean_environment, event, serving

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
"""Not `positive_data_acceptance`: whether a text is a time, an offset is there, or a key is new, no schema tells."""

EXAMPLES = 40
"""For each route; with the coverage phase some 50 requests a route, and with 30 routes well under a minute."""

MAX_RUN_SECONDS = 180.0
"""Ends a run that hangs, several times what one takes beside other tests."""

SETTINGS = """
[parameters]
# A long poll that is asked for 30 seconds takes them.
"query.timeout" = 20
# With `quarantine`, what does not fit is accepted and put aside.
"header.Forebay-On-Invalid" = "refuse"

# It would run whatever load fits the description, up to a million events a second for an hour.
[[operations]]
include-name = "POST /api/load-test"
enabled = false
"""


def endless(document: dict[str, Any]) -> list[str]:
    """Paths that answer with a stream of events, which ends when its reader has enough."""
    return [
        path
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if "text/event-stream" in operation["responses"].get("200", {}).get("content", {})
    ]


def ask(server: RunningServer, directory: Path) -> subprocess.CompletedProcess[str]:
    url = f"{server.url}/openapi.json"
    with server.client() as client:
        excluded = endless(client.get("/openapi.json").raise_for_status().json())
    settings = directory / "schemathesis.toml"
    settings.write_text(SETTINGS)
    authorization = f"Authorization: {server.headers['authorization']}"
    return subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "run", url, "-H", authorization]
        + ["--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--seed", "1"]
        + ["--checks", ",".join(CHECKS), "--continue-on-failure", "--no-color", "--request-timeout", "20"]
        + [argument for path in excluded for argument in ("--exclude-path", path)],
        cwd=directory,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=MAX_RUN_SECONDS,
        check=False,
    )


def test_every_answer_is_as_described(tmp_path: Path) -> None:
    with serving(tmp_path / "data", auth=True) as server:
        assert server.drain(batch(*[event(str(number)) for number in range(50)])).status_code == 202
        ended = ask(server, tmp_path)
        assert ended.returncode == 0, f"schemathesis ended with {ended.returncode}:\n{ended.stdout}\n{ended.stderr}"
        assert "Tested:" in ended.stdout, ended.stdout
