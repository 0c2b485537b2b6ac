"""Fits the number of connections to the number of files that the process may open."""

from __future__ import annotations

import contextlib
import resource

import msgspec
import structlog

from forebay.errors import ConfigError
from forebay.server.config import Settings

log = structlog.get_logger("forebay.server")

MAX_OPEN_FILES = 1 << 20
"""The kernel's default limit for one process (fs.nr_open), which is more than all settings need."""

PER_CONNECTION = 3
"""The most files that a connection takes: the client's, and both ends of the tunnel to the server behind. A sender's
connection takes one."""

RESERVE = 160
"""Files for everything but connections. An idle server has about 40 (libraries, epoll, threads' wake-ups, listeners,
journal files); the log's reader keeps up to 64 segments open; downloads of exports have up to 32; and sealing, checks
and token files open a few at a time."""

FEWEST_CONNECTIONS = 8
"""The fewest connections of a useful server: senders, monitoring and the operator each need some."""


def raise_limit() -> int | None:
    """Raises the soft limit of open files to the hard limit and returns it; None without a limit. The usual soft limit
    of 1024 is for programs that use select(2), which the server does not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def fitted(settings: Settings, limit: int | None) -> Settings:
    """The settings with no more connections than fit the limit. Otherwise connections would take the files that the log
    needs.

    Raises:
        ConfigError: fewer than `FEWEST_CONNECTIONS` would fit.
    """
    if limit is None:
        return settings
    fit = (limit - RESERVE) // PER_CONNECTION
    fewest = min(FEWEST_CONNECTIONS, settings.max_connections)
    if fit < fewest:
        raise ConfigError(
            f"the process may open {limit} files, and needs {RESERVE + PER_CONNECTION * fewest} at least; raise the "
            "limit (ulimit -n, LimitNOFILE= of systemd, --ulimit nofile= of Docker)"
        )
    if settings.max_connections <= fit:
        return settings
    log.warning(
        "max_connections was lowered",
        configured=settings.max_connections,
        to=fit,
        why=f"the process may open {limit} files; {RESERVE} are kept for the log, a connection takes {PER_CONNECTION}",
        todo=f"allow it {RESERVE + PER_CONNECTION * settings.max_connections} files (ulimit -n, LimitNOFILE= of "
        "systemd, --ulimit nofile= of Docker), or configure fewer connections",
    )
    return msgspec.structs.replace(settings, max_connections=fit)
