"""The names of keys, and the hours that they stand for."""

from __future__ import annotations

import pytest

from forebay.cache.cache import Kind
from forebay.cache.redis.layout import DAY_MS, Layout
from forebay.cache.shapes import MINUTE_MS
from forebay.errors import ConfigError

EVENING = 1_796_068_800_000 + DAY_MS
"""2026-12-01T20:00Z."""


def test_keys_have_one_hash_tag() -> None:
    layout = Layout("site.a")
    minute = EVENING + 59 * MINUTE_MS
    assert layout.windows(Kind.EVENTS, minute) == "{site.a}:analytics:events:2026-12-01T20:00Z"
    assert layout.windows(Kind.PERFORMANCE, minute) == "{site.a}:analytics:performance:2026-12-01T20:00Z"
    assert layout.windows(Kind.HOURS, EVENING) == "{site.a}:analytics:hours:2026-12-01"
    assert layout.lease == "{site.a}:analytics:lease"


def test_every_hash_of_a_span_is_named_once() -> None:
    layout = Layout()
    keys = layout.between(EVENING - DAY_MS, EVENING)
    assert len(keys) == len(set(keys)) == 25 + 25 + 2
    assert all(map(layout.is_windows, keys))


def test_only_hashes_of_windows_are_taken_for_such() -> None:
    layout = Layout()
    for key in (layout.totals, layout.lease, "{other}:analytics:events:2026-12-01T20:00Z", "session:1", ""):
        assert not layout.is_windows(key)


@pytest.mark.parametrize("prefix", ["", "{a}", "a b", "a\n", "ä", "a" * 65])
def test_a_prefix_fits_between_the_braces(prefix: str) -> None:
    with pytest.raises(ConfigError, match="cache_prefix is "):
        Layout(prefix)
