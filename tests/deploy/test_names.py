"""Alerts, dashboard and documents mention only series that a running server exports."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Metric

from deploy.promql import EXTERNAL, names
from forebay import testing
from support.exposition import busy_server, of_a_cache_process, scrape

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/*.md")])

OPEN = frozenset({"token", "stream", "group", "version", "le"})
"""Labels whose values nobody knows beforehand."""

FROM_PROMETHEUS = frozenset({"up"})


class Exported:
    """Returns the series of a server, by the names that expressions use."""

    def __init__(self, families: dict[str, Metric]) -> None:
        self.families = families
        self.labels: dict[str, dict[str, set[str]]] = {}
        for family in families.values():
            for sample in family.samples:
                labels = self.labels.setdefault(sample.name, {})
                for label, value in sample.labels.items():
                    labels.setdefault(label, set()).add(value)

    def check(self, expression: str) -> set[str]:
        """Fails unless every name in it is exported; returns its metrics."""
        found = names(expression)
        used = {metric for metric, _matchers in found.matched} - FROM_PROMETHEUS
        assert found.matched, f"{expression!r} names no metric"
        assert used <= set(self.labels), f"not exported: {sorted(used - set(self.labels))}"
        known = EXTERNAL.union(*(self.labels[metric] for metric in used))
        assert found.grouped <= known, f"{expression!r}: no label {sorted(found.grouped - known)}"
        for metric, matchers in found.matched:
            for label, operator, value in matchers:
                if label in EXTERNAL:
                    continue
                values = self.labels[metric].get(label)
                assert values, f"{metric} has no label {label}"
                if label not in OPEN and operator in ("=", "=~"):
                    wanted = value.split("|") if operator == "=~" else [value]
                    assert set(wanted) <= values, f"{metric}: {label} is never one of {wanted}"
        return used

    def labels_of(self, metrics: set[str]) -> set[str]:
        return {*EXTERNAL, *(label for metric in metrics for label in self.labels[metric])}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    server = busy_server(tmp_path_factory.mktemp("busy"))
    try:
        yield Exported(of_a_cache_process() | scrape(server))
    finally:
        server.stop()


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DEPLOY / "grafana" / "forebay.json").read_text())
    return loaded


def targets() -> list[tuple[str, str, str]]:
    """Title, expression and legend of everything that the dashboard draws."""
    panels = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
    return [(panel["title"], target["expr"], target["legendFormat"]) for panel in panels for target in panel["targets"]]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_names_what_is_exported_and_says_what_to_do(rule: dict[str, Any], exported: Exported) -> None:
    metrics = exported.check(rule["expr"])
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["alert"].startswith("Forebay")
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["annotations"].keys() == {"summary", "description"}
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
    for text in rule["annotations"].values():
        assert len(text) > 20
        used = set(re.findall(r"\$labels\.(\w+)", text))
        assert used <= exported.labels_of(metrics), f"no label {used}"
        # An aggregation leaves no label but those it is by.
        by = names(rule["expr"]).grouped
        assert not by or used <= by, f"{rule['alert']}: {used - by} is aggregated away"


def test_alerts_have_names_of_their_own_and_cover_what_matters() -> None:
    found = [rule["alert"] for rule in rules()]
    assert len(found) == len(set(found)) > 15
    used = {metric for rule in rules() for metric, _matchers in names(rule["expr"]).matched}
    assert used >= {
        "up",
        "forebay_log_mode",
        "forebay_damages",
        "forebay_ingest_refusals_total",
        "forebay_commit_seconds_bucket",
        "forebay_seal_backlog_files",
        "forebay_ring_used_bytes",
        "forebay_disk_free_bytes",
        "forebay_journal_sync_failures_total",
        "process_start_time_seconds",
        "forebay_quota_refusals_total",
    }


def test_the_dashboard_draws_what_is_exported(exported: Exported) -> None:
    assert len(targets()) > 30
    for title, expression, legend in targets():
        metrics = exported.check(expression)
        labels = set(re.findall(r"\{\{(\w+)\}\}", legend))
        assert labels <= exported.labels_of(metrics), f"{title}: {legend}"
        by = names(expression).grouped
        assert not by or labels <= by, f"{title}: {legend} is aggregated away"
        assert 'instance=~"$instance"' in expression, title


def test_the_dashboard_is_whole(exported: Exported) -> None:
    board = dashboard()
    panels = board["panels"]
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    metric = re.fullmatch(r"label_values\((\w+), instance\)", variables["instance"]["definition"])
    assert metric is not None
    assert metric[1] in exported.labels
    for annotation in board["annotations"]["list"]:
        exported.check(annotation["expr"])
    assert len({panel["id"] for panel in panels}) == len(panels)
    drawn = [panel for panel in panels if panel["type"] != "row"]
    assert all(panel["description"].endswith(".") and panel["fieldConfig"]["defaults"]["unit"] for panel in drawn)
    sources = [source["datasource"]["uid"] for panel in drawn for source in (panel, *panel["targets"])]
    assert set(sources) == {"${datasource}"}
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells)), "panels lie on each other"
    assert max(x for x, _y in cells) < 24


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_name_what_is_exported(document: Path, exported: Exported) -> None:
    crates = {path.parent.name.replace("-", "_") for path in ROOT.glob("rust/*/Cargo.toml")}
    named = set(re.findall(r"\bforebay_[a-z0-9_]+\b", document.read_text())) - crates - set(dir(testing))
    unknown = named - set(exported.labels) - set(exported.families)
    assert not unknown, f"{document.name} names {sorted(unknown)}"


def test_what_the_server_counts_is_documented(exported: Exported) -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    own = {name for name in exported.families if name.startswith("forebay_")}
    missing = {name for name in own if f"`{name}`" not in text}
    assert not missing, sorted(missing)


def test_prometheus_scrapes_with_a_token_and_loads_the_rules() -> None:
    settings = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    assert [(DEPLOY / file).is_file() for file in settings["rule_files"]] == [True]
    (job,) = settings["scrape_configs"]
    assert (job["job_name"], job["metrics_path"]) == ("forebay", "/metrics")
    assert job["authorization"]["credentials_file"]
    matched = [found for rule in rules() for found in names(rule["expr"]).matched]
    jobs = {value for _metric, matchers in matched for label, _, value in matchers if label == "job"}
    assert jobs == {job["job_name"]}
