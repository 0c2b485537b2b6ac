"""The settings as text, from their one table: for `forebay serve --help`, and docs/configuration.md.

python -m forebay.server.configuration > docs/configuration.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Literal, get_args, get_origin

from forebay.embedded.options import BYTE_UNITS, ENGINE_OPTIONS, Option, Table, Tables, Texts, table
from forebay.server.config import ENV_PREFIX, Settings

FLAGS = ("data_dir", "host", "port", "no_auth", "insecure", "durability", "functions", "log", "cache", "log_level")
"""Settings that are flags of `forebay serve` as well."""

LARGER_UNITS = {
    "bytes": BYTE_UNITS,
    "ms": (("days", 24 * 3600 * 1000),),
}
"""Units that large numbers are shown in."""

LISTS = {Texts: "list of texts", Tables: "list of tables", Table: "table"}

GROUPED_FROM = 10_000
"""Numbers from this one on are shown with commas; 8080 is not."""

HEAD = """\
# Configuration

Every setting is a key of a TOML file (`forebay serve --config forebay.toml`, or `FOREBAY_CONFIG`) and an environment
variable, `FOREBAY_` and its name in capitals; the ones marked with a flag can be given to `forebay serve` as well. A
flag wins over the environment, and the environment over the file. A name that is unknown, a value of another type and
one outside of its range are refused at the start, by name, with the place where they were set. A number is given in the
unit in which its name ends: `ring_bytes = 536_870_912` is 512 MiB.

```toml
# forebay.toml
data_dir = "data"
port = 8080
logs_retention_ms = 2_592_000_000
```

A list of texts is `functions = ["scoring", "checks.orders"]`, and `scoring,checks.orders` in the environment and as a
flag. A list of tables, `[[processors]]`, and a table, `[reputation]`, stand at the end of the file, since in TOML what
follows a table belongs to it; in the environment they are a JSON array and a JSON object.

This page is made of the table in `python/forebay/embedded/options.py` and `python/forebay/server/config.py`, by
`make docs`; a test holds it to them.
"""


def sections() -> Iterator[tuple[str, str, list[Option]]]:
    """The settings in groups: a title, what is said of them, and their rows."""
    rows = table(Settings)
    own = [row for row in rows if row.name not in ENGINE_OPTIONS]
    yield "Server", "", [row for row in own if not row.name.startswith("health_")]
    engine = [row for row in rows if row.name in ENGINE_OPTIONS]
    yield "Engine", "`forebay.open` takes these, too, by the same names.", engine
    health = [row for row in own if row.name.startswith("health_")]
    yield "Health", "What the checks of `/api/health` do is in [operations.md](operations.md#health).", health


def shown(value: object, unit: str = "") -> str:
    """A value as people write it: `512 MiB`, `1,000 ms`, `true`."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, str):
        return value or "none"
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no value of a setting")
    for name, size in LARGER_UNITS.get(unit, ()):
        if value >= size and value % size == 0:
            count = int(value // size)
            return f"{count:,} {name.removesuffix('s') if count == 1 else name}"
    whole = f"{value:,.0f}" if value >= GROUPED_FROM else f"{value:.0f}"
    number = whole if float(value).is_integer() else f"{value:g}"
    return f"{number} {unit}".rstrip()


def allowed(option: Option) -> str:
    """The values that an option may have."""
    if option.range is not None:
        low, high = (shown(limit, option.unit) for limit in option.range)
        same = low.rpartition(" ")[2] == high.rpartition(" ")[2]
        return f"{low.partition(' ')[0] if same or low.startswith('0 ') else low} to {high}"
    if get_origin(option.kind) is Literal:
        return ", ".join(get_args(option.kind))
    if option.kind in LISTS:
        return LISTS[option.kind]
    return "true, false" if option.kind is bool else "text"


def document() -> str:
    """docs/configuration.md."""
    parts = [HEAD]
    for title, text, options in sections():
        rows = [
            f"| `{option.name}` | {shown(option.default, option.unit)} | {allowed(option)} | {_description(option)} |"
            for option in options
        ]
        head = ["| name | default | range | what it does |", "|---|---|---|---|"]
        parts.append("\n".join([f"## {title}\n", *([f"{text}\n"] if text else []), *head, *rows, ""]))
    return "\n".join(parts)


def _description(option: Option) -> str:
    flag = f" `--{option.name.replace('_', '-')}`" if option.name in FLAGS else ""
    return f"{option.description}{flag}"


def help_text(name: str) -> str:
    """The help of the flag of this setting."""
    option = next(option for option in table(Settings) if option.name == name)
    plain = option.description.replace("`", "").rstrip(".")
    return f"{plain}." if option.kind is bool else f"{plain}.  [default: {shown(option.default, option.unit)}]"


def overview() -> str:
    """Every setting on a line: its variable, its default and its range."""
    rows: Sequence[Option] = [option for _, _, options in sections() for option in options]
    width = max(len(option.name) for option in rows) + len(ENV_PREFIX)
    defaults = max(len(shown(option.default, option.unit)) for option in rows)
    lines = []
    for option in rows:
        variable, default = ENV_PREFIX + option.name.upper(), shown(option.default, option.unit)
        lines.append(f"{variable:<{width}}  {default:<{defaults}}  {allowed(option)}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(document())
