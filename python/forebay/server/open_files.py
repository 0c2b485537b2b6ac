"""The budget of open files: how many connections fit what the operating system lets one process open."""

from __future__ import annotations

import contextlib
import resource

import msgspec
import structlog

from forebay.errors import ConfigError
from forebay.server.config import Settings

log = structlog.get_logger("forebay.server")

MAX_OPEN_FILES = 1 << 20
"""What kernels allow one process unless they are told otherwise (fs.nr_open), and more than all settings ask for."""

PER_CONNECTION = 4
"""The most that a connection takes: the client's, two ends of the way to the server behind, and for a stream of events,
a WebSocket or a large answer a copy that asks the kernel what its client has taken. A sender's takes one."""

RESERVE = 160
"""For everything else. An idle server has about 40 (libraries, epoll, threads' wake-ups, listeners, journal files); the
log's reader keeps up to 64 segments open; and sealing, checks and token files open a few at a time."""

FEWEST_CONNECTIONS = 8
"""A server with fewer is none: its senders, who watches it and who tends it each need some."""


def raise_limit() -> int | None:
    """Lets the process open as many files as it may, and returns how many; None without a limit. The usual soft limit
    of 1024 is for programs that use select(2), which this does not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def fitted(settings: Settings, limit: int | None) -> Settings:
    """The settings with no more connections than fit the limit: one file too many would otherwise be missing to the
    log, and not to the connection that took it.

    Raises:
        ConfigError: hardly any would fit.
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
