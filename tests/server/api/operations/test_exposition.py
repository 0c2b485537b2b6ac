"""Everything that `/metrics` exports follows the conventions, and no label grows without bound."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from forebay._forebay import error_table
from forebay.server.api.operations.metrics import MAX_TOKEN_LABELS
from forebay.server.telemetry import MAX_GROUP_LABELS, MAX_PROCESSOR_LABELS, MAX_STREAM_LABELS
from support.exposition import busy_server, scrape
from support.harness import RunningServer, batch

BOUNDS = {
    "api": 6,
    "code": len(error_table()),
    "generation": 3,
    "group": MAX_GROUP_LABELS + 1,
    "implementation": 1,
    "le": 17,
    "major": 1,
    "minor": 1,
    "mode": 6,
    "outcome": 3,
    "patchlevel": 1,
    "processor": MAX_PROCESSOR_LABELS + 1,
    "served_by": 2,
    "status": 4,
    "stream": MAX_STREAM_LABELS + 1,
    "token": MAX_TOKEN_LABELS + 1,
    "version": 1,
}
"""The most values that each label may have."""

UNITS = ("bytes", "seconds")
COUNTED = (
    "connections",
    "damages",
    "files",
    "info",
    "mode",
    "processors",
    "publishing",
    "reachable",
    "records",
    "requests",
    "websockets",
    "windows",
    "workers",
)
"""The last words of gauges without a unit."""

PREFIXES = ("forebay_", "process_", "python_")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = busy_server(tmp_path_factory.mktemp("busy"))
    yield running
    running.stop()


def values(family: Metric, suffix: str = "_total") -> dict[tuple[str, ...], float]:
    """Samples by the values of their labels, in the labels' order."""
    return {
        tuple(value for _label, value in sorted(sample.labels.items())): sample.value
        for sample in family.samples
        if sample.name.endswith(suffix)
    }


def fits(name: str, kind: str) -> bool:
    """Returns whether a name says what is measured, in which unit, by https://prometheus.io/docs/practices/naming/."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)+", name) or not name.startswith(PREFIXES):
        return False
    last = name.rsplit("_", 1)[1]
    match kind:
        case "counter":
            return last == "total"
        case "histogram":
            return last in UNITS
        case "gauge":
            return last in UNITS + COUNTED
        case _:
            return False


def test_every_family_is_named_and_explained(server: RunningServer) -> None:
    families = scrape(server)
    own = {name: family for name, family in families.items() if name.startswith("forebay_")}
    assert len(own) > 30
    for name, family in own.items():
        assert fits(name, family.type), f"{name} of type {family.type}"
        assert re.fullmatch(r"[A-Z0-9][^\n]*\.", family.documentation), f"{name}: {family.documentation}"
        assert ". " not in family.documentation, f"{name}: more than one sentence"
        assert family.samples, f"{name} has no sample, on a server that did a bit of everything"
    assert all(name.startswith(PREFIXES) for name in families)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("forebay_commits", "counter"),
        ("forebay_ring_total", "gauge"),
        ("forebay_ring_mb", "gauge"),
        ("forebay_commit_milliseconds", "histogram"),
        ("commits_total", "counter"),
        ("forebay_Commits_total", "counter"),
        ("forebay_ring_bytes", "unknown"),
    ],
)
def test_names_that_do_not_fit(name: str, kind: str) -> None:
    assert not fits(name, kind)


def test_labels_are_bounded(server: RunningServer) -> None:
    for name, family in scrape(server).items():
        labels = {label for sample in family.samples for label in sample.labels}
        assert labels <= set(BOUNDS), f"{name}: no bound is known for {labels - set(BOUNDS)}"
        for label in labels:
            used = {sample.labels[label] for sample in family.samples if label in sample.labels}
            assert len(used) <= BOUNDS[label], f"{name} by {label}"
        # A histogram has a sum and a count beside its buckets.
        assert len(family.samples) <= math.prod(BOUNDS[label] for label in labels) + 2, name


def test_requests_and_events_are_counted_once_by_api_and_outcome(server: RunningServer) -> None:
    families = scrape(server)
    requests = values(families["forebay_ingest_requests_total"])
    assert {key: count for key, count in requests.items() if count} == {
        ("drain", "accepted"): 1,
        ("drain", "repeated"): 1,
        ("drain", "refused"): 1,
        ("events", "accepted"): 2,
    }
    assert values(families["forebay_ingest_events_total"]) == {
        ("drain",): 2,
        ("events",): 2,
        ("analytics",): 0,
        ("streams",): 0,
        ("load_test",): 0,
        ("library",): 0,
    }
    assert values(families["forebay_ingest_invalid_events_total"])[("events",)] == 1
    refusals = values(families["forebay_ingest_refusals_total"])
    assert {key: count for key, count in refusals.items() if count} == {("malformed_request",): 1}
    assert values(families["forebay_ingest_bytes_total"])[("drain",)] > 2 * len(batch())
    acknowledged = [sample.value for sample in families["forebay_ingest_ack_seconds"].samples if "count" in sample.name]
    assert acknowledged == [3]


def test_gauges_say_what_is(server: RunningServer) -> None:
    families = scrape(server)
    mode = values(families["forebay_log_mode"], "")
    assert {key for key, value in mode.items() if value} == {("running",)}
    assert len(mode) == BOUNDS["mode"]
    free, size = (values(families[f"forebay_disk_{what}_bytes"], "")[()] for what in ("free", "size"))
    assert 0 < free <= size
    assert values(families["forebay_stream_records"], "")[("logs",)] == 2
    assert values(families["forebay_stream_appended_records_total"])[("logs",)] == 2
    assert sum(values(families["forebay_group_lag_records"], "").values()) < 2
    assert values(families["forebay_processors"], "") == {
        ("running",): 1,
        ("paused",): 0,
        ("failed",): 0,
        ("deleting",): 0,
    }
    assert values(families["forebay_processor_lag_records"], "").keys() == {("large",)}


def test_histograms_are_cumulative(server: RunningServer) -> None:
    for name, family in scrape(server).items():
        if family.type != "histogram":
            continue
        buckets = [sample for sample in family.samples if sample.name.endswith("_bucket")]
        assert [sample.value for sample in buckets] == sorted(sample.value for sample in buckets), name
        assert [float(sample.labels["le"]) for sample in buckets] == sorted(float(s.labels["le"]) for s in buckets)
        count = next(sample.value for sample in family.samples if sample.name.endswith("_count"))
        assert (buckets[-1].labels["le"], buckets[-1].value) == ("+Inf", count)


def test_openmetrics_for_who_asks_for_it(server: RunningServer) -> None:
    accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
    with server.client() as client:
        response = client.get("/metrics", headers={"accept": accept})
    assert response.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert response.text.endswith("# EOF\n")
    parsed = list(parse_openmetrics(response.text))  # type: ignore[no-untyped-call]
    found = {family.name + ("_total" if family.type == "counter" else "") for family in parsed}
    assert found == set(scrape(server))


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain;version=x", "text/plain;version=1.0.0", "nonsense;;,"])
def test_text_for_everybody_else(server: RunningServer, accept: str) -> None:
    with server.client() as client:
        response = client.get("/metrics", headers={"accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
