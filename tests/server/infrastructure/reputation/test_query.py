"""Names that are asked for, and what answers mean (RFC 5782)."""

from __future__ import annotations

import ipaddress

import pytest

from forebay.server.infrastructure.reputation.query import LISTED_TEST, UNLISTED_TEST, Verdict, query_name, verdict


def test_the_examples_of_the_rfc() -> None:
    """Sections 2.1, 2.4 and 5."""
    assert query_name(ipaddress.ip_address("192.0.2.99"), "bad.example.com") == "99.2.0.192.bad.example.com."
    assert query_name(ipaddress.ip_address("2001:db8:1:2:3:4:567:89ab"), "ugly.example.com.") == (
        "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ugly.example.com."
    )
    assert query_name(LISTED_TEST[4], "a.b") == "2.0.0.127.a.b."
    assert query_name(UNLISTED_TEST[6], "a.b") == f"1.0.0.0.0.0.f.7.f.f.f.f.{'0.' * 20}a.b."


@pytest.mark.parametrize(
    ("answers", "listed", "error"),
    [
        ([], False, None),
        (["127.0.0.2"], True, None),
        (["127.0.1.255", "127.0.0.10"], True, None),
        (["127.255.255.254"], False, "it answered 127.255.255.254, by which a list refuses"),
        (["127.255.255.1"], False, "by which a list refuses"),
        (["93.184.216.34"], False, "it answered 93.184.216.34, which no block list does"),
        (["126.255.255.255"], False, "which no block list does"),
        (["128.0.0.1"], False, "which no block list does"),
        (["127.0.0.2", "127.255.255.252"], True, "it answered 127.255.255.252, by which"),
        (["127.0.0.2", "10.0.0.1"], True, "it answered 10.0.0.1, which no"),
    ],
)
def test_only_answers_of_lists_are_listings(answers: list[str], listed: bool, error: str | None) -> None:
    found = verdict(answers)
    assert found.listed is listed
    assert (found.error is None) is (error is None)
    assert error is None or error in str(found.error)


def test_no_answer_is_no_listing() -> None:
    assert verdict([]) == Verdict(False, None)
