"""`forebay read`."""

from __future__ import annotations

import click

from forebay.cli.commands.source import PAGE_RECORDS, Source, source
from forebay.cli.notices import notice
from forebay.cli.options import place_options
from forebay.cli.output import binary_output
from forebay.cli.wording import counted, offsets
from forebay.errors import InvalidOffset, InvalidRequest, StreamNotFound


class Start(click.ParamType[int | None]):
    """`earliest` or an offset."""

    name = "earliest|offset"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        if value is None or isinstance(value, int):
            return value
        text = str(value)
        if text == "earliest":
            return None
        if not (text.isascii() and text.isdigit()):
            self.fail(f"{text!r} is neither 'earliest' nor an offset", param, ctx)
        return int(text)


@click.command()
@click.argument("stream")
@click.option("--from", "start", type=Start(), default="earliest", show_default=True, help="Where to begin.")
@click.option("--last", type=click.IntRange(min=0), help="Begin so many offsets before the end of each partition.")
@click.option("--partition", type=click.IntRange(min=0), help="Only this partition.  [default: all, one by one]")
@click.option("--max", "limit", type=click.IntRange(min=0), help="At most so many records.")
@place_options
def read(
    stream: str,
    start: int | None,
    last: int | None,
    partition: int | None,
    limit: int | None,
    data_dir: str,
    url: str | None,
    token: str | None,
) -> None:
    """Print records of STREAM as NDJSON: {"partition","offset","timestamp","key","value"}.

    Reads up to what was committed when it began. Standard error says where offsets have no record that can be read,
    since it is damaged, or since a repair: the status at the end is then 1.
    """
    if last is not None and start is not None:
        raise click.UsageError("give --from or --last, not both")
    with source(data_dir, url, token) as opened:
        rows = _partitions(opened, stream, partition)
        if start is not None and len(rows) > 1:
            raise click.UsageError(f"stream {stream!r} has {len(rows)} partitions; an offset needs --partition")
        left, lost = limit, 0
        for number, first, end in rows:
            begin = first if last is None else max(first, end - last)
            left, missing = _print(opened, stream, number, begin if start is None else start, end, left)
            lost += missing
    if lost:
        raise click.ClickException(
            f"{counted(lost, 'offset')} without a record: damaged, lost to a repair, or never used; "
            "'forebay verify' on the stopped server's directory says which"
        )


def _partitions(opened: Source, stream: str, partition: int | None) -> list[tuple[int, int, int]]:
    """Number, first offset and end of each partition that is wanted."""
    for found in opened.streams():
        if found["name"] == stream:
            rows = [(row["partition"], row["startOffset"], row["endOffset"]) for row in found["partitionDetails"]]
            if partition is None:
                return rows
            if partition >= len(rows):
                raise InvalidRequest(f"partition is {partition}, but stream {stream!r} has {len(rows)}")
            return [rows[partition]]
    raise StreamNotFound(f"there is no stream {stream!r}")


def _print(
    opened: Source, stream: str, partition: int, offset: int, end: int, left: int | None
) -> tuple[int | None, int]:
    """Prints one partition; returns how many more records are wanted, None when all are, and how many offsets had
    none."""
    out = binary_output()
    missing = 0
    if offset > end:
        raise InvalidOffset(f"offset {offset} is beyond the end of partition {partition}, which is {end}")
    while offset < end and (left is None or left > 0):
        wanted = min(PAGE_RECORDS, end - offset, PAGE_RECORDS if left is None else left)
        lines, following, lost = opened.page(stream, partition, offset, wanted)
        out.write(lines)
        if lost:
            missing += lost
            gone = "1 offset has no record" if lost == 1 else f"{lost:,} offsets have no record"
            notice(f"partition {partition}: {gone} that can be read, among {offsets(offset, following)}")
        if following <= offset:
            break
        if left is not None:
            left -= lines.count(b"\n")
        offset = following
    out.flush()
    return left, missing
