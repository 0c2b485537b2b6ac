"""`log.processors`: the stream processors of a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from forebay.errors import InvalidRequest, ProcessorNotFound
from forebay.processors.pipeline import Pipeline
from forebay.processors.shapes import Preview, ProcessorDescription, ProcessorMetrics

if TYPE_CHECKING:
    from forebay._forebay import Engine

DEFAULT_PREVIEW_RECORDS = 1_000

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

    def create(self, pipeline: Pipeline | Mapping[str, Any]) -> ProcessorDescription:
        """Creates a processor, durably, which runs from then on. Takes a pipeline or a definition as JSON has it.

        Raises:
            Malformed: the definition is wrong; the message names the operation.
            ProcessorAlreadyExists: a processor has the name.
            StreamNotFound: there is no such source.
            Saturated: there are as many processors as may be.
            StorageUnavailable: the log takes no writes now.
        """
        return _read(self._engine().create_processor(_written(pipeline)), ProcessorDescription)

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

    def preview(self, pipeline: Pipeline | Mapping[str, Any], *, records: int = DEFAULT_PREVIEW_RECORDS) -> Preview:
        """Returns what a processor would make of the newest `records` of its source. Creates and writes nothing;
        windows that are open at the end count as closed.

        Raises:
            Malformed: the definition is wrong; the message names the operation.
            StreamNotFound: there is no such source.
            InvalidRequest: `records` is out of range.
        """
        return _read(self._engine().preview_processor(_written(pipeline), records), Preview)

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


def _written(pipeline: Pipeline | Mapping[str, Any]) -> bytes:
    definition = pipeline.definition() if isinstance(pipeline, Pipeline) else pipeline
    try:
        return msgspec.json.encode(definition)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidRequest(f"the definition cannot be written as JSON: {error}") from None
