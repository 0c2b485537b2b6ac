"""Functions of modules, by name."""

from __future__ import annotations

import importlib
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from forebay.processors.function import Function

PACKAGE = Path(__file__).parents[1]
"""Where the code of forebay is, which is not where somebody's mistake is."""

Found = tuple[Function, str]
"""A function and where it is from, as errors say it."""


class LoadError(Exception):
    """A module cannot be used; the message says which one, why, and what to do."""


def load(modules: Sequence[str], installed: Mapping[str, str]) -> dict[str, Function]:
    """The functions of modules and of entry points. One of a module wins over one of an entry point.

    Args:
        installed: what each entry point names: a module, or `module:attribute` of a function or of a module.

    Raises:
        LoadError
    """
    given = _unique(found for module in modules for found in _of_module(module, f"the module {module!r}"))
    others = _unique(
        (function, place)
        for name, value in installed.items()
        for function, place in _of_entry_point(name, value)
        if function.name not in given
    )
    return others | given


def _unique(every: Iterator[Found]) -> dict[str, Function]:
    places: dict[str, Found] = {}
    for function, place in every:
        other, elsewhere = places.setdefault(function.name, (function, place))
        # A module that imports a function from another one has it, too.
        if other is not function:
            raise LoadError(
                f"two functions have the name {function.name!r}: {_home(other)} of {elsewhere} and {_home(function)} "
                f"of {place}; rename one of them"
            )
    return {name: function for name, (function, _) in places.items()}


def _home(function: Function) -> str:
    return str(getattr(function, "__qualname__", type(function.wrapped).__qualname__))


def _of_module(name: str, what: str) -> Iterator[Found]:
    yield from _in(_imported(name, what), what)


def _of_entry_point(name: str, value: str) -> Iterator[Found]:
    what = f"the entry point {name!r} of forebay.functions, {value}"
    module, _, path = value.partition(":")
    found: object = _imported(module, what)
    for part in filter(None, path.split(".")):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise LoadError(f"{what}: there is no {part!r}; install a release of the package that has it") from None
    if isinstance(found, Function):
        yield found, what
    elif isinstance(found, ModuleType):
        yield from _in(found, what)
    else:
        raise LoadError(f"{what}: is neither a module nor made by @forebay.function; it has to name one of them")


def _in(module: ModuleType, what: str) -> Iterator[Found]:
    functions = [value for value in vars(module).values() if isinstance(value, Function)]
    if not functions:
        raise LoadError(f"{what} has no functions; put @forebay.function('name') before one")
    for function in functions:
        yield function, what


def _imported(name: str, what: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise LoadError(
            f"{what} cannot be imported: {type(error).__name__}: {error}{_line(error)}; modules are looked for in "
            f"{os.getcwd()} and among what is installed, and this shows the whole error: python -c 'import {name}'"
        ) from None


def _line(error: BaseException) -> str:
    """Where the code of a module raised; nothing where it was not found at all."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "importlib" not in frame.filename and not Path(frame.filename).is_relative_to(PACKAGE)
    ]
    return f", {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
