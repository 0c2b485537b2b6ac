"""`forebay bench`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec

from forebay import _forebay
from forebay.cli.exit_status import DONE, FAILED, INTERRUPTED
from forebay.cli.notices import notice, token_hint
from forebay.cli.options import DEFAULT_URL, token_option
from forebay.cli.progress import Progress
from forebay.cli.wording import counted
from forebay.errors import InvalidRequest

DEFAULT_BATCH = 100

_PATHS = {row.name: row.path for row in _forebay.ingest_routes() if row.stream is not None}
"""Where a content goes when the URL names no path."""

_WHOLE_URLS = {row.name: row.path.format(name="NAME") for row in _forebay.ingest_routes() if row.stream is None} | {
    "fetch": "/api/v1/streams/NAME/records"
}
"""An example of the path that the URL of other contents must name."""

_SINGLE = frozenset(row.name for row in _forebay.ingest_routes() if row.max_events == 1) | {"fetch"}
"""Contents of which a request holds one event, or none."""


class Latency(msgspec.Struct):
    """Milliseconds."""

    count: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p99_9_ms: float
    max_ms: float


class Report(msgspec.Struct):
    """The part of the generator's report that is shown."""

    pacing: str
    offered_events_per_second: float | None
    connections: int
    batch: int
    measured_seconds: float
    acknowledged_requests: int
    acknowledged_events: int
    requests_per_second: float
    events_per_second: float
    statuses: dict[str, int]
    connection_failures: int
    timeouts: int
    unsent_requests: int
    unanswered_requests: int
    latency: Latency
    send_lag: Latency


@click.command()
@click.argument("url", default=DEFAULT_URL, envvar="FOREBAY_URL")
@click.option(
    "--content",
    type=click.Choice(["drain", "publish-batch", "publish", "event", "event-batch", "track", "fetch"]),
    default="drain",
    show_default=True,
    help="What is sent: log events, events for a stream, for the events or the analytics API, or a GET of the URL. "
    "publish needs the URL of …/api/v1/streams/NAME/events, publish-batch that of …/events/batch, and fetch that of "
    "what is fetched; the others know their path.",
)
@click.option("--rate", type=float, help="Events a second, whatever the server does.  [default: as fast as it answers]")
@click.option("--batch", type=int, help="Events in a request.  [default: 100, or 1 where a request is of one event]")
@click.option("--connections", type=int, default=32, show_default=True, help="Keep-alive, one request in flight each.")
@click.option("--duration", type=float, default=10.0, show_default=True, metavar="SECONDS", help="What is measured.")
@click.option("--warmup", type=float, default=1.0, show_default=True, metavar="SECONDS", help="Load before that.")
@click.option("--timeout", type=float, default=30.0, show_default=True, metavar="SECONDS", help="For one answer.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same events.")
@token_option("The server's token.")
@click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A further header; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--hdr",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the latencies to this file as an HdrHistogram percentile distribution, in milliseconds.",
)
def bench(
    url: str, token: str | None, headers: tuple[str, ...], as_json: bool, hdr: Path | None, **load: float | str | None
) -> None:
    """Measure a running server, by default its drain: it stores the generated events like any others.

    URL is $FOREBAY_URL, else http://127.0.0.1:8080, when it is not given.

    With --rate the loop is open: each request is due at its time, and its latency counts from then, also when the
    server was too slow to let it be sent. Without, each connection sends when its answer is there.

    Exit status: 0 measured; 1 the server cannot be reached, or acknowledged nothing; 2 wrong usage; 130 interrupted,
    with a report of what was measured until then.
    """
    given = [_header(text) for text in headers]
    if token:
        given.append(("Authorization", f"Bearer {token}"))
    content = str(load["content"])
    given_batch = load["batch"]
    batch = (1 if content in _SINGLE else DEFAULT_BATCH) if given_batch is None else given_batch
    if content == "fetch" and batch != 1:
        raise click.UsageError("--batch counts events, and --content fetch sends none")
    has_path = bool(urlsplit(url).path.strip("/"))
    if not has_path and content in _WHOLE_URLS:
        whole = url.rstrip("/") + _WHOLE_URLS[content]
        raise click.UsageError(f"--content {content} needs the whole URL, such as {whole}")
    path = "" if has_path else _PATHS[content]
    options: dict[str, object] = {**load, "batch": batch, "url": url.rstrip("/") + path if path else url}
    try:
        with Progress() as progress:
            text, distribution, interrupted = _forebay.run_load({**options, "headers": given}, _shown(progress))
    except InvalidRequest as error:
        raise click.UsageError(error.detail) from None
    except (ConnectionError, OverflowError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    if hdr:
        hdr.write_text(distribution)
    report = msgspec.json.decode(text, type=Report)
    click.echo(text if as_json else summary(report))
    if refused := [status for status in ("401", "403") if report.statuses.get(status)]:
        role = "read" if content == "fetch" else "ingest"
        notice(f"the server answered {refused[0]}; {token_hint(role)}")
    elif not interrupted and not report.acknowledged_requests:
        notice(f"nothing was acknowledged; {_reason(report, url)}")
    if interrupted:
        sys.exit(INTERRUPTED)
    sys.exit(DONE if report.acknowledged_requests else FAILED)


def _reason(report: Report, url: str) -> str:
    if not report.statuses:
        return f"{url} answered no request"
    status, count = max(report.statuses.items(), key=lambda row: row[1])
    return f"{url} answered {status} to {counted(count, 'request')}: one by curl -i shows why"


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise click.UsageError(f"--header {text!r} must read 'name: value'")
    return name.strip(), value.strip()


def _shown(progress: Progress) -> Callable[[str, float, int, int], None]:
    def show(phase: str, elapsed: float, events: int, refused: int) -> None:
        progress.show(f"{phase} {elapsed:.1f} s  {events:,} events  {refused:,} refused")

    return show


def summary(report: Report) -> str:
    """The report in lines of text."""
    offered, latency, lag = report.offered_events_per_second, report.latency, report.send_lag
    refused = {status: count for status, count in report.statuses.items() if not status.startswith("2")}
    lines = [
        f"{report.pacing} loop, {report.connections} connections, batch {report.batch}, "
        f"{report.measured_seconds:.1f} s" + (f", {offered:,.0f} events/s offered" if offered else ""),
        f"acknowledged   {report.events_per_second:,.0f} events/s, {report.requests_per_second:,.0f} requests/s, "
        f"{report.acknowledged_events:,} events",
        "refused        " + (", ".join(f"{status}: {count:,}" for status, count in refused.items()) or "none"),
    ]
    unanswered = {
        "broken connections": report.connection_failures,
        "timeouts": report.timeouts,
        "never sent": report.unsent_requests,
        "never answered": report.unanswered_requests,
    }
    if any(unanswered.values()):
        lines.append("no answer      " + ", ".join(f"{count:,} {what}" for what, count in unanswered.items() if count))
    lines.append(
        f"latency ms     p50 {latency.p50_ms:.3f}  p90 {latency.p90_ms:.3f}  p99 {latency.p99_ms:.3f}  "
        f"p99.9 {latency.p99_9_ms:.3f}  max {latency.max_ms:.3f}  "
        f"(from when each was {'due' if offered else 'sent'})"
    )
    if lag.count and lag.p99_ms * 2 > latency.p99_ms:
        lines.append(f"send lag ms    p99 {lag.p99_ms:.3f}: this generator was late, the latencies are partly its own")
    return "\n".join(lines)
