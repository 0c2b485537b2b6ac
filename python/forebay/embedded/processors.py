"""`log.processors`: the stream processors of a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from forebay.embedded.decoding import decode
from forebay.errors import InvalidRequest, ProcessorNotFound
from forebay.processors.pipeline import Pipeline
from forebay.processors.shapes import (
    DeadLetters,
    DroppedDeadLetters,
    Preview,
    ProcessorDescription,
    ProcessorMetrics,
    Replay,
)

if TYPE_CHECKING:
    from forebay._forebay import Engine

DEFAULT_PREVIEW_RECORDS = 1_000
DEFAULT_DEAD_LETTERS = 100

_MAX_NUMBER = (1 << 63) - 1

S = TypeVar("S", bound=msgspec.Struct)
Descriptions = list[ProcessorDescription]
"""`list` is a method of the class below."""


class Processors:
    """The stream processors of a log: `log.processors`. They run in threads of the engine for as long as the log is
    open, and go on where they were when it is opened again. `name` is a processor's name or its id everywhere.

    Every method raises `Closed` after `log.close()`.
    """

    def __init__(self, engine: Callable[[], Engine]) -> None:
        self._engine = engine

    def create(
        self,
        pipeline: Pipeline | Mapping[str, Any],
        *,
        replace: str | None = None,
        state: Literal["keep", "discard"] | None = None,
    ) -> ProcessorDescription:
        """Creates a processor, durably, which runs from then on. Takes a pipeline or a definition as JSON has it.

        Args:
            replace: a processor whose place it takes, with its id, its positions, its counts and its open windows.
            state: `"discard"` drops the open windows of that one. Without it they have to be of the same kind.

        Raises:
            ProcessorNotFound: there is none to take the place of.
            Conflict: the open windows of the two differ, or their sources; the message says which.
            Malformed: the definition is wrong; the message names the operation.
            ProcessorAlreadyExists: a processor has the name.
            StreamNotFound: there is no such source.
            Saturated: there are as many processors as may be.
            StorageUnavailable: the log takes no writes now.
        """
        succession = {name: value for name, value in (("from", replace), ("state", state)) if value is not None}
        return _read(self._engine().create_processor(_written(pipeline, succession)), ProcessorDescription)

    def list(self) -> Descriptions:
        """Every processor, by name."""
        return msgspec.json.decode(self._engine().processors(), type=Descriptions)

    def metrics(self, name: str) -> ProcessorMetrics:
        """Returns what a processor has counted, and its newest windows.

        Raises:
            ProcessorNotFound
        """
        return _read(self._engine().processor_metrics(name), ProcessorMetrics)

    def pause(self, name: str) -> ProcessorDescription:
        """Lets a processor stand where it is, durably.

        Raises:
            ProcessorNotFound
            Conflict: it has failed.
            StorageUnavailable: the log takes no writes now.
        """
        return _read(self._engine().pause_processor(name), ProcessorDescription)

    def resume(self, name: str) -> ProcessorDescription:
        """Lets a processor go on where it stands. Nothing that came meanwhile is left out.

        Raises:
            ProcessorNotFound
            Conflict: what it failed for is still so; the message names it.
            StorageUnavailable: the log takes no writes now.
        """
        return _read(self._engine().resume_processor(name), ProcessorDescription)

    def delete(self, name: str) -> None:
        """Deletes a processor with its open windows, durably. Its sink and what is in it stay.

        Raises:
            ProcessorNotFound
            StorageUnavailable: the log takes no writes now.
        """
        self._engine().delete_processor(name)

    def dead_letters(self, name: str, *, offset: int = 0, limit: int = DEFAULT_DEAD_LETTERS) -> DeadLetters:
        """Returns the dead letters of a processor that are neither replayed nor dropped, the oldest first: at most
        `limit` from `offset` on, of at most about 4 MiB.

        Raises:
            ProcessorNotFound
            InvalidRequest: `limit` is not 1 to 1,000, or `offset` is none.
            Malformed: Python cannot hold a value; the bytes are in the stream of dead letters.
        """
        answer = self._engine().processor_dead_letters(name, _unsigned("offset", offset), _unsigned("limit", limit))
        # A record that could not be processed may have what only this decodes: a number beyond float64.
        return msgspec.convert(decode(answer), DeadLetters)

    def replay(self, name: str, *, through: int | None = None) -> int:
        """Has a processor try its dead letters again, those up to and with the offset `through`, or all that there are
        now, and returns how many. Returns before they are tried; one that fails again is a new dead letter.

        Raises:
            ProcessorNotFound
            InvalidRequest: `through` is no offset.
            Conflict: the processor does not run.
        """
        return _read(self._engine().replay_dead_letters(name, _through(through)), Replay).replaying

    def drop_dead_letters(self, name: str, *, through: int | None = None) -> int:
        """Lets dead letters be, durably, those up to and with the offset `through`, or all that there are now, and
        returns how many. The stream keeps them for as long as it keeps any.

        Raises:
            ProcessorNotFound
            InvalidRequest: `through` is no offset.
            Conflict: the processor cannot be read.
            StorageUnavailable: the log takes no writes now.
        """
        return _read(self._engine().drop_dead_letters(name, _through(through)), DroppedDeadLetters).dropped

    def preview(self, pipeline: Pipeline | Mapping[str, Any], *, records: int = DEFAULT_PREVIEW_RECORDS) -> Preview:
        """Returns what a processor would make of the newest `records` of its source. Creates and writes nothing;
        windows that are open at the end count as closed.

        Raises:
            Malformed: the definition is wrong; the message names the operation.
            StreamNotFound: there is no such source.
            InvalidRequest: `records` is out of range.
        """
        return _read(self._engine().preview_processor(_written(pipeline, {}), _unsigned("records", records)), Preview)

    def __getitem__(self, name: str) -> ProcessorDescription:
        """The processor of that name or id.

        Raises:
            ProcessorNotFound
        """
        return _read(self._engine().processor(name), ProcessorDescription)

    def __contains__(self, name: object) -> bool:
        try:
            self[str(name)]
        except ProcessorNotFound:
            return False
        return True

    def __iter__(self) -> Iterator[ProcessorDescription]:
        return iter(self.list())

    def __repr__(self) -> str:
        return f"<Processors: {', '.join(each.name for each in self) or 'none'}>"


def _read(answer: bytes, shape: type[S]) -> S:
    return msgspec.json.decode(answer, type=shape)


def _through(offset: int | None) -> int | None:
    return None if offset is None else _unsigned("through", offset)


def _unsigned(name: str, number: int) -> int:
    """The number, which the engine takes as an unsigned one."""
    if not 0 <= number <= _MAX_NUMBER:
        raise InvalidRequest(f"{name} is {number}, which is not 0 to {_MAX_NUMBER}")
    return number


def _written(pipeline: Pipeline | Mapping[str, Any], more: Mapping[str, str]) -> bytes:
    definition = pipeline.definition() if isinstance(pipeline, Pipeline) else pipeline
    try:
        return msgspec.json.encode({**definition, **more})
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidRequest(f"the definition cannot be written as JSON: {error}") from None
