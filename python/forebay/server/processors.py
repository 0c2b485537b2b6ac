"""Stream processors of the configuration, and what is wrong with any processor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import structlog

from forebay._forebay import Engine, processor_definition
from forebay.errors import ConfigError, ForebayError, Malformed, ProcessorAlreadyExists

log = structlog.get_logger("forebay.processors")

COMPARED = ("source", "operations", "sink", "offset", "config")
"""The parts of a definition beside its name."""


class ConfiguredProcessors:
    """The setting `processors`: each is created at the start when no processor has its name. One that cannot be created
    yet, because its source is missing or the log takes no writes, is tried again. One that exists is never changed.

    Calls block. One thread at a time may create; any may ask for problems.
    """

    def __init__(self, engine: Engine, definitions: Sequence[Mapping[str, Any]]) -> None:
        """
        Raises:
            ConfigError: a definition is wrong, or two have one name.
        """
        self._engine = engine
        self._wanted: dict[str, dict[str, Any]] = {}
        for index, definition in enumerate(definitions):
            whole = _checked(index, definition)
            if whole["name"] in self._wanted:
                raise ConfigError(f"processors[{index}].name: {whole['name']!r} is the name of another one before it")
            self._wanted[whole["name"]] = whole
        self._missing: dict[str, ForebayError | None] = dict.fromkeys(self._wanted)

    @property
    def is_complete(self) -> bool:
        """True when none is left to be created."""
        return not self._missing

    def start(self) -> None:
        """Creates those that are missing, and logs which of the others differ from the configuration.

        Raises:
            ConfigError: a definition is wrong in what only the engine's streams and processors can tell.
        """
        self.create()
        for name, error in self._missing.items():
            # A function may come with a module that is mended; it is no reason to take no events.
            if isinstance(error, Malformed) and not _is_about_a_function(error):
                raise ConfigError(f"the processor {name!r} of the configuration: {error.detail}")
        for name, parts in self._differing(self._described()):
            log.warning("a processor goes on as it was created, not as configured", processor=name, differs=parts)

    def create(self) -> None:
        """Creates those that are missing, as far as that can be done now."""
        for name, known in list(self._missing.items()):
            try:
                self._engine.create_processor(msgspec.json.encode(self._wanted[name]))
                log.info("a processor of the configuration was created", processor=name)
            except ProcessorAlreadyExists:
                pass
            except ForebayError as error:
                if known is None or error.detail != known.detail:
                    log.warning("a processor of the configuration is not created yet", processor=name, why=error.detail)
                self._missing[name] = error
                continue
            del self._missing[name]

    def problems(self) -> list[str]:
        """Returns what is wrong with processors, a sentence each: those of the configuration that are not there or
        differ from it, and all that do not run although nobody paused them."""
        found = [
            f"the processor {name!r} of the configuration is not created yet: {error.detail}"
            for name, error in list(self._missing.items())
            if error is not None
        ]
        described = self._described()
        found += [
            f"the processor {name!r} goes on as it was created, and not as the configuration has it now: "
            f"{', '.join(parts)}; forebay processors create --from makes another one take its place"
            for name, parts in self._differing(described)
        ]
        found += [
            f"the processor {name!r} is {each['status']}: {each['reason']}"
            for name, each in described.items()
            if each["reason"]
        ]
        return found

    def _described(self) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in msgspec.json.decode(self._engine.processors())}

    def _differing(self, described: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, list[str]]]:
        for name, wanted in self._wanted.items():
            if name in described:
                parts = [part for part in COMPARED if described[name][part] != wanted[part]]
                if parts:
                    yield name, parts


def _is_about_a_function(error: Malformed) -> bool:
    place, _, _ = error.detail.partition(": ")
    return place.endswith(".function")


def _checked(index: int, definition: Mapping[str, Any]) -> dict[str, Any]:
    """The definition with every default in it."""
    try:
        whole: dict[str, Any] = msgspec.json.decode(processor_definition(msgspec.json.encode(definition)))
    except Malformed as error:
        raise ConfigError(f"processors[{index}].{error.detail}") from None
    return whole
