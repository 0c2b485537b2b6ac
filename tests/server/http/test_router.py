import pytest

from forebay import errors
from forebay.server.http.error_envelopes import Family
from forebay.server.http.request import Request
from forebay.server.http.response import Response
from forebay.server.http.router import Role, Route, Router


async def answer(_request: Request) -> Response:
    return Response(200, b"")


def router() -> Router:
    return Router(
        [
            Route("GET", "/a", answer, Role.READ),
            Route("POST", "/a", answer, Role.INGEST, 10),
            Route("GET", "/a/{name}", answer, Role.READ),
            Route("GET", "/a/fixed", answer, Role.OPS),
            Route("GET", "/a/{name}/b/{number}", answer, Role.READ),
        ]
    )


def test_exact_paths_by_method() -> None:
    assert router().find("GET", "/a")[0].role is Role.READ
    assert router().find("POST", "/a")[0].body_limit == 10


def test_segments_are_bound() -> None:
    assert router().find("GET", "/a/x")[1] == {"name": "x"}
    assert router().find("GET", "/a/x/b/7")[1] == {"name": "x", "number": "7"}


def test_an_exact_path_wins_over_a_pattern() -> None:
    assert router().find("GET", "/a/fixed")[0].role is Role.OPS


def test_head_is_answered_as_get() -> None:
    assert router().find("HEAD", "/a")[0].method == "GET"


@pytest.mark.parametrize("path", ["/", "/b", "/a/", "/a/x/b", "/a/x/b/", "/a/x/c/7", "a"])
def test_unknown_paths(path: str) -> None:
    with pytest.raises(errors.NotFound, match="there is no route"):
        router().find("GET", path)


def test_an_unknown_method_names_the_known_ones() -> None:
    with pytest.raises(errors.MethodNotAllowed, match="/a does not take 'DELETE', only GET, HEAD, POST") as raised:
        router().find("DELETE", "/a")
    assert raised.value.allowed == ("GET", "HEAD", "POST")


def test_two_routes_at_one_place_are_refused() -> None:
    with pytest.raises(ValueError, match="two routes"):
        Router([Route("GET", "/a", answer, Role.READ), Route("GET", "/a", answer, Role.READ)])


def test_a_route_has_the_family_of_its_path() -> None:
    assert Route("GET", "/api/v1/streams", answer, Role.READ).family is Family.STREAMS
