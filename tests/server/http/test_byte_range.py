"""Which part of a file a request asks for."""

from __future__ import annotations

import pytest

from forebay.server.http.byte_range import NotModified, Part, Unsatisfiable, Wanted, wanted

TAG = '"abc"'


class Headers:
    def __init__(self, given: dict[str, str]) -> None:
        self._given = given

    def get(self, key: str, default: str | None = None) -> str | None:
        return self._given.get(key, default)

    def get_all(self, key: str) -> list[str]:
        return [self._given[key]] if key in self._given else []

    def __contains__(self, key: str) -> bool:
        return key in self._given


def asked(length: int = 100, **headers: str) -> Wanted:
    return wanted(Headers({name.replace("_", "-"): value for name, value in headers.items()}), TAG, length)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("bytes=0-9", Part(0, 10)),
        ("bytes=10-", Part(10, 100)),
        ("bytes=-10", Part(90, 100)),
        ("bytes=-1000", Part(0, 100)),
        ("bytes=99-99", Part(99, 100)),
        ("bytes=5-1000000", Part(5, 100)),
        ("Bytes= 5-9 ", Part(5, 10)),
        ("bytes=0-" + "9" * 10_000, Part(0, 100)),
        ("bytes=100-", Unsatisfiable()),
        ("bytes=100-200", Unsatisfiable()),
        ("bytes=" + "9" * 10_000 + "-", Unsatisfiable()),
        ("bytes=-0", Unsatisfiable()),
        ("bytes=9-5", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("bytes=a-b", None),
        ("bytes=+1-2", None),
        ("bytes=\u0661-\u0662", None),
        ("lines=0-9", None),
        ("", None),
    ],
)
def test_a_range(given: str, expected: Wanted) -> None:
    assert asked(range=given) == expected


def test_a_file_with_nothing_in_it_has_no_part() -> None:
    assert asked(0) is None
    assert asked(0, range="bytes=0-") == Unsatisfiable()
    assert asked(0, range="bytes=-5") == Unsatisfiable()


def test_a_range_of_another_file_asks_for_all() -> None:
    assert asked(range="bytes=1-2", if_range=TAG) == Part(1, 3)
    assert asked(range="bytes=1-2", if_range='"other"') is None
    assert asked(range="bytes=1-2", if_range=f"W/{TAG}") is None
    assert asked(range="bytes=1-2", if_range="Thu, 04 Dec 2025 12:00:00 GMT") is None


def test_what_the_client_has_is_not_sent() -> None:
    for given in (TAG, f"W/{TAG}", f'"x", {TAG}', "*", f'"x,y",W/{TAG}'):
        assert asked(if_none_match=given, range="bytes=1-2") == NotModified(), given
    for given in ('"x"', "abc", ""):
        assert asked(if_none_match=given) is None, given


def test_only_a_get_asks_for_parts() -> None:
    assert wanted(Headers({"range": "bytes=1-2"}), TAG, 100, has_parts=False) is None
