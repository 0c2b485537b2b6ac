"""What is wrong with Redis, in words for the operator."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping


class Trouble(enum.Enum):
    """The kinds of problems, each with what to do. One is logged once, however often it is met in a row."""

    UNREACHABLE = "start Redis, or correct the address in the setting cache"
    SLOW = "look for slow commands and swapping (SLOWLOG GET, INFO memory), and at the network in between"
    LOADING = "wait: Redis reads its own file and answers when it is done"
    DENIED = (
        "correct the user and the password in the setting cache; the user needs the commands of strings, hashes, "
        "sorted sets and scripts on the keys of cache_prefix"
    )
    READ_ONLY = "name the primary in the setting cache: this is a replica, which takes no writes"
    REPLICA_AWAY = "name the primary in the setting cache, or set replica-serve-stale-data yes"
    OUT_OF_MEMORY = "raise maxmemory, or free memory: with noeviction Redis refuses writes at that limit"
    CANNOT_SAVE = (
        "free its disk, or correct its directory: Redis refuses writes while it cannot save its file "
        "(INFO persistence, stop-writes-on-bgsave-error)"
    )
    FEW_REPLICAS = "start its replicas, or lower min-replicas-to-write"
    WRONG_TYPE = "delete the key, which another program wrote, or choose another cache_prefix"
    CLUSTER = "name a node that has the slot of cache_prefix (CLUSTER KEYSLOT, CLUSTER SHARDS)"
    UNTRUSTED = "name its authority in the setting cache: rediss://host:6379/0?ssl_ca_certs=/path/to/ca.pem"
    NO_TLS = "look whether this port of Redis speaks TLS: redis:// is without, rediss:// with it"
    TOO_MANY_CLIENTS = "raise maxclients, or close connections of other programs (CLIENT LIST)"
    BUSY = "wait, or end the script of another program that blocks Redis (SCRIPT KILL)"
    UNREADABLE = "delete the key, or give each release of forebay a cache_prefix of its own"
    REFUSED = "see what Redis answered"


_BY_WORD: Mapping[str, Trouble] = {
    "LOADING": Trouble.LOADING,
    "NOAUTH": Trouble.DENIED,
    "WRONGPASS": Trouble.DENIED,
    "NOPERM": Trouble.DENIED,
    "READONLY": Trouble.READ_ONLY,
    "MASTERDOWN": Trouble.REPLICA_AWAY,
    "OOM": Trouble.OUT_OF_MEMORY,
    "MISCONF": Trouble.CANNOT_SAVE,
    "NOREPLICAS": Trouble.FEW_REPLICAS,
    "WRONGTYPE": Trouble.WRONG_TYPE,
    "MOVED": Trouble.CLUSTER,
    "ASK": Trouble.CLUSTER,
    "CLUSTERDOWN": Trouble.CLUSTER,
    "CROSSSLOT": Trouble.CLUSTER,
    "TRYAGAIN": Trouble.CLUSTER,
    "BUSY": Trouble.BUSY,
}
"""By the first word of an error of Redis."""

_BY_CLASS: Mapping[str, Trouble] = {
    "BusyLoadingError": Trouble.LOADING,
    "AuthenticationError": Trouble.DENIED,
    "AuthorizationError": Trouble.DENIED,
    "NoPermissionError": Trouble.DENIED,
    "ReadOnlyError": Trouble.READ_ONLY,
    "MasterDownError": Trouble.REPLICA_AWAY,
    "OutOfMemoryError": Trouble.OUT_OF_MEMORY,
    "MovedError": Trouble.CLUSTER,
    "AskError": Trouble.CLUSTER,
    "ClusterDownError": Trouble.CLUSTER,
    "ClusterCrossSlotError": Trouble.CLUSTER,
    "TryAgainError": Trouble.CLUSTER,
    "TimeoutError": Trouble.SLOW,
    "ConnectionError": Trouble.UNREACHABLE,
    "OSError": Trouble.UNREACHABLE,
}
"""By the name of a class of redis-py, or of Python. The client drops the first word where it has a class for it; names,
since the package need not be installed."""

_BY_TEXT: Mapping[str, Trouble] = {
    "max number of clients reached": Trouble.TOO_MANY_CLIENTS,
    "CERTIFICATE_VERIFY_FAILED": Trouble.UNTRUSTED,
    "certificate verify failed": Trouble.UNTRUSTED,
    "self-signed certificate": Trouble.UNTRUSTED,
    "SSL": Trouble.NO_TLS,
}
"""By what stands somewhere in an error without a class or a word of its own."""


_IN_PIPELINE = re.compile(r"^Command # \d+ \(.*\) of pipeline caused error: (?:\(')?", re.DOTALL)
"""What redis-py writes before the error of a command in a pipeline."""


class RedisProblem(Exception):
    """Redis did not do what it was asked.

    Attributes:
        trouble: what it is.
        what: Redis by its address, and what it answered.
    """

    def __init__(self, trouble: Trouble, what: str) -> None:
        self.trouble = trouble
        self.what = what
        super().__init__(f"{what}; {trouble.value}")


def trouble_of(error: Exception) -> Trouble:
    """The kind of a failure of the client."""
    text = _IN_PIPELINE.sub("", str(error))
    known = (trouble for part, trouble in _BY_TEXT.items() if part in text)
    found = next(known, None) or _BY_WORD.get(text.partition(" ")[0])
    if found is not None:
        return found
    # From the narrowest class to the widest.
    names = (kind.__name__ for kind in type(error).__mro__)
    return next((_BY_CLASS[name] for name in names if name in _BY_CLASS), Trouble.REFUSED)
