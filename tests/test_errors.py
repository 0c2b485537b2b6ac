from forebay import errors
from forebay._forebay import error_table


def test_every_row_of_the_engine_has_its_class() -> None:
    rows = {number: (name, status, retryable) for number, name, status, retryable in error_table()}
    kinds = {number: (kind.name, kind.http_status, kind.retryable) for number, kind in errors.classes().items()}
    assert kinds == rows


def test_a_kind_becomes_its_class_with_the_detail() -> None:
    error = errors.from_kind(1001, "there is no stream 'x'")
    assert isinstance(error, errors.StreamNotFound)
    assert error.detail == str(error) == "there is no stream 'x'"
    assert (error.number, error.http_status, error.retryable) == (1001, 404, False)


def test_a_number_without_a_class_is_internal_and_named() -> None:
    error = errors.from_kind(9999, "what")
    assert isinstance(error, errors.Internal)
    assert "9999" in error.detail
