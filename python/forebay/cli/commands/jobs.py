"""`forebay jobs`: list, retry, delete, pause, resume. Asks a running server."""

from __future__ import annotations

import json
from urllib.parse import quote

import click
import msgspec

from forebay.cli.commands.processor_requests import asked, server_options
from forebay.cli.wording import counted
from forebay.server.api.platform.job_shapes import Job, JobsAnswer, QueuesAnswer
from forebay.server.api.platform.jobs import JOBS
from forebay.server.api.platform.queues import MAX_PAGE, PATH

STATUSES = ("active", "waiting", "failed", "completed")

queue_argument = click.argument("queue")
job_argument = click.argument("job")


@click.group()
def jobs() -> None:
    """Jobs of a running server and their queues.

    QUEUE is queue:NAME:high, queue:NAME or queue:NAME:low; NAME alone is queue:NAME.
    """


@jobs.command("list")
@click.argument("queue", required=False)
@click.option("--status", type=click.Choice(STATUSES), help="Only jobs of this status.")
@click.option("--limit", type=click.IntRange(1, MAX_PAGE), default=50, show_default=True, help="The most jobs.")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="So many of the first are left out.")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
@server_options
def listing(
    queue: str | None, status: str | None, limit: int, offset: int, as_json: bool, url: str, token: str | None
) -> None:
    """Show the jobs of QUEUE; without it every queue with its counts."""
    if queue is None:
        if status is not None or offset:
            raise click.UsageError("--status and --offset go with a queue", click.get_current_context(silent=True))
        path = PATH
    else:
        path = f"{_path(queue)}/jobs?limit={limit}&offset={offset}" + (f"&status={status}" if status else "")
    with asked(url, token) as api:
        body = api.change("GET", path)
    if as_json:
        click.echo(json.dumps(json.loads(body), indent=2))
    elif queue is None:
        _show_queues(body)
    else:
        page = msgspec.json.decode(body, type=JobsAnswer).data
        click.echo(f"{len(page.jobs):,} of {counted(page.pagination.total, 'job')}")
        for job in page.jobs:
            click.echo(_line(job))


@jobs.command()
@job_argument
@server_options
def retry(job: str, url: str, token: str | None) -> None:
    """Let the job with the id JOB, which has failed, wait again with all of its attempts."""
    _change(url, token, "POST", f"{JOBS}/{quote(job, safe='')}/retry")
    click.echo(f"{job} waits")


@jobs.command()
@job_argument
@server_options
def delete(job: str, url: str, token: str | None) -> None:
    """Delete the job with the id JOB, which no worker has."""
    _change(url, token, "DELETE", f"{JOBS}/{quote(job, safe='')}")
    click.echo(f"deleted {job}")


@jobs.command()
@queue_argument
@server_options
def pause(queue: str, url: str, token: str | None) -> None:
    """Hand out no jobs of QUEUE until it is resumed."""
    _change(url, token, "POST", f"{_path(queue)}/pause")
    click.echo(f"paused {queue}")


@jobs.command()
@queue_argument
@server_options
def resume(queue: str, url: str, token: str | None) -> None:
    """Hand out jobs of QUEUE again."""
    _change(url, token, "POST", f"{_path(queue)}/resume")
    click.echo(f"resumed {queue}")


def _path(queue: str) -> str:
    return f"{PATH}/{quote(queue, safe=':')}"


def _change(url: str, token: str | None, method: str, path: str) -> None:
    with asked(url, token) as api:
        api.change(method, path)


def _show_queues(body: bytes) -> None:
    for queue in msgspec.json.decode(body, type=QueuesAnswer).data.queues:
        paused = ", paused" if queue.paused else ""
        click.echo(
            f"{queue.name}: {queue.status}{paused}; {queue.waiting_jobs:,} waiting, {queue.active_jobs:,} active, "
            f"{queue.failed_jobs:,} failed, {queue.completed_last_hour:,} completed in the last hour"
        )


def _line(job: Job) -> str:
    line = f"{job.id}: {job.status}; {counted(job.attempts, 'attempt')}, enqueued {job.created_at}"
    if job.available_at is not None:
        line += f", due {job.available_at}"
    if isinstance(job.error, dict) and "message" in job.error:
        line += f"; {json.dumps(job.error['message'])}"
    return line
