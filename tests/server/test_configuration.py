"""docs/configuration.md and `forebay serve --help` say what the table of settings says."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from forebay.cli.commands.serve import serve
from forebay.embedded.options import MIB, table
from forebay.server.config import Settings
from forebay.server.configuration import FLAGS, allowed, document, shown

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_is_that_of_the_table() -> None:
    assert DOCUMENT.read_text() == document(), "make docs writes it anew"


def test_every_setting_is_described_once_with_a_sentence() -> None:
    text = document()
    for option in table(Settings):
        assert text.count(f"| `{option.name}` |") == 1
        assert option.description.endswith("."), option.name
        assert option.description[0].isupper() or option.description.startswith("p99"), option.name


def test_the_help_names_every_setting_and_describes_every_flag() -> None:
    shown_help = CliRunner().invoke(serve, ["--help"], terminal_width=300).output
    for option in table(Settings):
        assert f"FOREBAY_{option.name.upper()} " in shown_help
        if option.name in FLAGS:
            assert option.description.replace("`", "").rstrip(".") in shown_help
    assert {parameter.name for parameter in serve.params} == {*FLAGS, "file"}


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (512 * MIB, "bytes", "512 MiB"),
        (1000, "bytes", "1000 bytes"),
        (0, "bytes", "0 bytes"),
        (1 << 50, "bytes", "1 PiB"),
        (604_800_000, "ms", "7 days"),
        (250.0, "ms", "250 ms"),
        (0.1, "s", "0.1 s"),
        (8080, "", "8080"),
        (65_535, "", "65,535"),
        (True, "", "true"),
        ("", "", "none"),
        ((), "", "none"),
        (("a", "b"), "", "a, b"),
    ],
)
def test_values_are_shown_as_people_write_them(value: object, unit: str, text: str) -> None:
    assert shown(value, unit) == text


def test_a_range_names_its_unit_once() -> None:
    by_name = {option.name: allowed(option) for option in table(Settings)}
    assert by_name["interval_ms"] == "1 to 1000 ms"
    assert by_name["ring_bytes"] == "8 MiB to 1 TiB"
    assert by_name["logs_retention_bytes"] == "0 to 1 PiB"
    assert by_name["durability"] == "fsync, interval, memory"
    assert by_name["functions"] == "list of texts"
