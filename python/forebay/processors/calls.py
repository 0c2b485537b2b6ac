"""Calls of functions as the engine makes them: bytes in, bytes out."""

from __future__ import annotations

import inspect
import json
import struct
from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from forebay.finite import has_non_finite
from forebay.processors.function import Function
from forebay.processors.json_array import elements

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

_LENGTH = struct.Struct("<I")

MAX_FAILURE_CHARACTERS = 1024

UNDECODED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""msgspec raises these for values that it does not take."""


class CallError(Exception):
    """The body is no call: the engine and this process do not speak the same protocol."""


class _UnfitError(Exception):
    """A function returned what functions do not return; the message is the whole failure."""


class Calls:
    """Answers calls of functions, one after the other, in one thread. What is `async` runs on one event loop, which
    stays until `close()`.

    A call is, with all integers as little-endian u32, the length of the function's name, the name, a count, and a JSON
    array of so many values. An answer is the length of the failures, the failures as `[[index, "text"], …]`, and a JSON
    array of one result for each value: null for none, an array of the values of any number of records, or one value.
    """

    def __init__(
        self, functions: Mapping[str, Function], failing: tuple[type[BaseException], ...] = (Exception,)
    ) -> None:
        """
        Args:
            failing: what is a failure of the record for which a function raises it. Anything else ends the call.
        """
        self._functions = functions
        self._failing = failing
        self._decoders = {name: _decoder(function) for name, function in functions.items()}
        self._encoder = msgspec.json.Encoder()
        self._runner: asyncio.Runner | None = None

    def answer(self, body: bytes) -> bytes:
        """Returns the answer to a call.

        Raises:
            CallError
            BaseException: a function raised what is no failure.
        """
        name, count, array = _read(body)
        failures: list[tuple[int, str]] = []
        if name in self._functions:
            results = self._whole(self._functions[name], array, count, failures)
        else:
            failures += [(index, f"there is no function {name!r} here") for index in range(count)]
            results = self._encoder.encode([None] * count)
        told = self._encoder.encode(failures)
        return b"".join((_LENGTH.pack(len(told)), told, results))

    def _whole(self, function: Function, array: bytes, count: int, failures: list[tuple[int, str]]) -> bytes:
        """The results for all values of a call."""
        try:
            return self._results(function, array, count)
        except CallError:
            raise
        except self._failing as error:
            values = elements(array)
            _check(len(values), count)
            return b"[" + b",".join(self._halved(function, values, 0, error, failures)) + b"]"

    def _results(self, function: Function, array: bytes, count: int) -> bytes:
        """The results for values of which the function is called once."""
        values = self._values(function, array)
        _check(len(values), count)
        results = function(values) if values else []
        if not isinstance(results, list):
            results = self._awaited(results) if inspect.isawaitable(results) else results
            if not isinstance(results, list):
                kind = "None" if results is None else f"a value of the type {type(results).__name__}"
                raise _UnfitError(f"returned {kind}, and not a list with a result for each value")
        if len(results) != count:
            raise _UnfitError(f"returned {len(results)} results for {count} values")
        return self._written(results)

    def _values(self, function: Function, array: bytes) -> list[Any]:
        decoder = self._decoders[function.name]
        try:
            return decoder.decode(array)
        except UNDECODED:
            # Streams hold what msgspec does not take: half a surrogate pair, a number beyond float64.
            return [_value(decoder, function, element) for element in elements(array)]

    def _written(self, results: list[Any]) -> bytes:
        if any(_is_array(kind) for kind in set(map(type, results))):
            results = [_apart(result) for result in results]
        text = self._encoder.encode(results)
        # msgspec writes NaN and infinities as null, which would drop a record, or change it, without a word.
        nulls = text.count(b"null")
        if nulls and nulls != sum(result is None for result in results) and has_non_finite(results):
            raise _UnfitError("returned NaN or an infinity, which are no JSON numbers; return None or a text instead")
        return text

    def _halved(
        self,
        function: Function,
        values: Sequence[bytes],
        first: int,
        error: BaseException,
        failures: list[tuple[int, str]],
    ) -> list[bytes]:
        """The results for values that failed together, with `error`, the first of which is value `first` of the call.
        Each half is decoded again, since the function may have changed values before it failed."""
        if len(values) == 1:
            failures.append((first, _told(error)))
            return [b"null"]
        pieces: list[bytes] = []
        middle = len(values) // 2
        for start, half in ((first, values[:middle]), (first + middle, values[middle:])):
            try:
                pieces.append(self._results(function, b"[" + b",".join(half) + b"]", len(half))[1:-1])
            except self._failing as failed:
                pieces += self._halved(function, half, start, failed, failures)
        return pieces

    def _awaited(self, results: Awaitable[T]) -> T:
        # Imported here, since it takes as long as all the rest, and most functions have no use for it.
        import asyncio

        if self._runner is None:
            self._runner = asyncio.Runner()
        try:
            return self._runner.run(_finished(results))
        except asyncio.CancelledError:
            raise _UnfitError("was cancelled by its own code") from None

    def close(self) -> None:
        """Ends the event loop."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()


def _decoder(function: Function) -> msgspec.json.Decoder[list[Any]]:
    if function.fields is None:
        return msgspec.json.Decoder(list[Any])
    return msgspec.json.Decoder(list[function.fields])  # type: ignore[name-defined] # known at run time only


def _read(body: bytes) -> tuple[str, int, bytes]:
    try:
        (length,) = _LENGTH.unpack_from(body)
        name = body[_LENGTH.size : _LENGTH.size + length].decode()
        (count,) = _LENGTH.unpack_from(body, _LENGTH.size + length)
    except (struct.error, UnicodeDecodeError) as error:
        raise CallError(f"the head of a call cannot be read: {error}") from None
    return name, count, body[2 * _LENGTH.size + length :]


def _check(found: int, count: int) -> None:
    if found != count:
        raise CallError(f"a call has {found} values, and says {count}")


def _value(decoder: msgspec.json.Decoder[list[Any]], function: Function, element: bytes) -> Any:
    try:
        return decoder.decode(b"[" + element + b"]")[0]
    except UNDECODED:
        return msgspec.convert(json.loads(element), function.fields or Any)


def _is_array(kind: type) -> bool:
    """True if values of the type are arrays in JSON."""
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_config__.array_like
    return issubclass(kind, (list, tuple, set, frozenset))


def _apart(result: Any) -> Any:
    """A result as the engine knows it: an array holds the values of records, so one that is a value is wrapped."""
    if isinstance(result, list):
        return [value for value in result if value is not None]
    return [result] if _is_array(type(result)) else result


async def _finished(results: Awaitable[T]) -> T:
    return await results


def _told(error: BaseException) -> str:
    try:
        message = str(error)
    except Exception:
        # An exception of somebody's own may fail to say what it is.
        message = ""
    if not isinstance(error, _UnfitError):
        message = f"{type(error).__name__}: {message}" if message else type(error).__name__
    # Half a surrogate pair would make the whole answer impossible.
    return message[:MAX_FAILURE_CHARACTERS].encode(errors="backslashreplace").decode()[:MAX_FAILURE_CHARACTERS]
