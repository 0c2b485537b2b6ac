"""The directory that holds what a comparison installs, and the data of the servers under test."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
REPOSITORY = BENCH.parent

#: Installing a peer downloads from a registry; beyond this the registry, not the peer, is at fault.
INSTALL_LIMIT_S = 900


class Missing(Exception):
    """A tool that a comparison needs is not on this machine; the text names it."""


def need(tool: str, what_for: str) -> str:
    """The path of a command on PATH, or :class:`Missing`."""
    found = shutil.which(tool)
    if found is None:
        raise Missing(f"{tool} is not installed, {what_for} needs it")
    return found


@dataclass(frozen=True)
class Cache:
    """A directory of installed things, each under a name that changes with what it was made from."""

    root: Path

    @staticmethod
    def default() -> Cache:
        return Cache(Path(os.environ.get("BENCH_CACHE", BENCH / ".cache")))

    @property
    def data(self) -> Path:
        """Where servers under test write: beside the cache, not in a temporary directory that may live in memory."""
        path = self.root / "data"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def installed(self, name: str, recipe: str, install: Callable[[Path], None]) -> Path:
        """The directory that ``install`` filled, made once per name and recipe."""
        digest = hashlib.sha256(recipe.encode()).hexdigest()[:12]
        place = self.root / f"{name}-{digest}"
        if (place / ".done").exists():
            return place
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        print(f"installing {name} into {place}", file=sys.stderr, flush=True)
        install(place)
        (place / ".done").touch()
        return place

    def venv(self, name: str, requirements: Path) -> Path:
        """The interpreter of a virtual environment that holds exactly ``requirements``."""

        def install(place: Path) -> None:
            call([sys.executable, "-m", "venv", str(place)])
            call([str(place / "bin/python"), "-m", "pip", "install", "-q", "-r", str(requirements)])

        recipe = f"{sys.version}\n{requirements.read_text()}"
        return self.installed(f"venv-{name}", recipe, install) / "bin/python"


def call(command: list[str], cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Runs a command to its end and returns its output; what it printed is part of the error when it fails."""
    result = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=INSTALL_LIMIT_S,
        check=False,
    )
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {result.returncode}:\n{result.stdout}{result.stderr}")
    return result.stdout
