"""The formats of export files."""

from __future__ import annotations

import importlib
from typing import Literal, NamedTuple

from forebay.errors import InvalidRequest

Format = Literal["json", "csv", "txt", "parquet"]
"""The names of formats."""


class FileKind(NamedTuple):
    """A format's files: what their names end in, and their media type."""

    extension: str
    media: str


KINDS: dict[Format, FileKind] = {
    "json": FileKind("ndjson", "application/x-ndjson"),
    "csv": FileKind("csv", "text/csv; charset=utf-8; header=present"),
    "txt": FileKind("txt", "text/plain; charset=utf-8"),
    "parquet": FileKind("parquet", "application/vnd.apache.parquet"),
}


def check_available(name: Format) -> None:
    """Checks that files of the format can be written here. May take a second.

    Raises:
        InvalidRequest: naming the package that is missing.
    """
    if name != "parquet":
        return
    try:
        importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise InvalidRequest(
            f"format=parquet needs the package pyarrow, which the server does not have ({error}): pip install "
            "'forebay[arrow]', and start the server again; json, csv and txt need nothing"
        ) from None
