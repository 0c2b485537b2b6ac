"""Found events as lines: for people on a terminal, else as JSON."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from typing import Protocol

import click
import msgspec

from forebay.cli.output import binary_output
from forebay.cli.search.places import Groups
from forebay.cli.wording import begun
from forebay.embedded.found import LogEntry

_COLOURS = {
    "debug": "bright_black",
    "trace": "bright_black",
    "info": "green",
    "notice": "green",
    "warn": "yellow",
    "warning": "yellow",
    "error": "red",
    "critical": "red",
    "fatal": "red",
}

_TERM = re.compile(r'(-?)(?:"((?:\\.|[^"\\])*)"|/(?:\\.|[^/\\])+/(?=\s|$)|(\S+))')
"""The terms of a query, roughly: what is highlighted finds nothing. Regular expressions of the engine are not those of
Python, which may take for ever."""


class Writer(Protocol):
    """Writes events to standard output."""

    def write(self, entries: Iterable[LogEntry]) -> None: ...
    def write_counts(self, groups: Groups, by: str) -> None: ...


class JsonLines:
    """One JSON object a line, as the server's answers have it."""

    def __init__(self) -> None:
        self._out = binary_output()

    def write(self, entries: Iterable[LogEntry]) -> None:
        for entry in entries:
            self._out.write(_one_line(entry) + b"\n")
        self._out.flush()

    def write_counts(self, groups: Groups, by: str) -> None:
        name = "start" if by == "time" else "value"
        for value, count in groups:
            self._out.write(msgspec.json.encode({name: value, "count": count}) + b"\n")
        self._out.flush()


class People:
    """Time, level, service and message, with the words of the query highlighted."""

    def __init__(self, query: str, colours: bool) -> None:
        self._colours = colours
        self._words = _words(query) if colours else None

    def write(self, entries: Iterable[LogEntry]) -> None:
        for entry in entries:
            click.echo(self._line(entry), color=self._colours)

    def write_counts(self, groups: Groups, by: str) -> None:
        width = max((len(f"{count:,}") for _, count in groups), default=0)
        for value, count in groups:
            shown = begun(value)
            if by == "level":
                shown = self._styled(shown, _COLOURS.get(value))
            click.echo(f"{count:>{width},}  {shown}", color=self._colours)

    def _line(self, entry: LogEntry) -> str:
        moment = entry.timestamp.replace("T", " ").removesuffix("Z")
        level = self._styled(f"{begun(entry.level):<7}", _COLOURS.get(entry.level.lower()))
        service = self._styled(begun(entry.service), "cyan")
        return f"{self._styled(moment, 'bright_black')} {level} {service} {self._highlighted(begun(entry.message))}"

    def _styled(self, text: str, colour: str | None) -> str:
        return click.style(text, fg=colour) if self._colours and colour else text

    def _highlighted(self, text: str) -> str:
        if self._words is None:
            return text
        return self._words.sub(lambda found: click.style(found[0], bold=True, underline=True), text)


def writer(query: str, as_json: bool) -> Writer:
    """Lines for people on a terminal, unless JSON is asked for."""
    if as_json or not sys.stdout.isatty():
        return JsonLines()
    # https://no-color.org: set to anything but nothing.
    return People(query, not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")


def _one_line(entry: LogEntry) -> bytes:
    if b"\n" in bytes(entry.metadata) or b"\r" in bytes(entry.metadata):
        entry.metadata = msgspec.Raw(msgspec.json.format(bytes(entry.metadata), indent=-1))
    return msgspec.json.encode(entry)


def _words(query: str) -> re.Pattern[str] | None:
    parts = []
    for excluded, phrase, word in _TERM.findall(query):
        begins = word.endswith("*")
        text = phrase.replace('\\"', '"').replace("\\\\", "\\") if phrase else re.sub(r"^\W+|\W+$", "", word)
        if text and not excluded:
            parts.append(rf"(?<!\w){re.escape(text)}" + ("" if begins else r"(?!\w)"))
    return re.compile("|".join(parts), re.IGNORECASE) if parts else None
