"""What the operator is told of each failure."""

from __future__ import annotations

import pytest
from redis import exceptions

from forebay.cache.redis.problem import RedisProblem, Trouble, trouble_of


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (exceptions.ConnectionError("Error 111 connecting"), Trouble.UNREACHABLE),
        (exceptions.ConnectionError("Error 1: [SSL: CERTIFICATE_VERIFY_FAILED] self-signed"), Trouble.UNTRUSTED),
        (ConnectionResetError(104, "Connection reset by peer"), Trouble.UNREACHABLE),
        (exceptions.TimeoutError("Timeout reading"), Trouble.SLOW),
        (TimeoutError(), Trouble.SLOW),
        (exceptions.ConnectionError("max number of clients reached"), Trouble.TOO_MANY_CLIENTS),
        (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), Trouble.LOADING),
        (exceptions.AuthenticationError("invalid username-password pair"), Trouble.DENIED),
        (exceptions.ResponseError("WRONGPASS invalid"), Trouble.DENIED),
        (exceptions.ResponseError("NOAUTH Authentication required."), Trouble.DENIED),
        (exceptions.NoPermissionError("this user has no permissions"), Trouble.DENIED),
        (exceptions.ReadOnlyError("You can't write against a read only replica."), Trouble.READ_ONLY),
        (exceptions.MasterDownError("Link with MASTER is down"), Trouble.REPLICA_AWAY),
        (exceptions.OutOfMemoryError("command not allowed"), Trouble.OUT_OF_MEMORY),
        (exceptions.ResponseError("MISCONF Redis is configured to save"), Trouble.CANNOT_SAVE),
        (exceptions.ResponseError("NOREPLICAS Not enough good replicas"), Trouble.FEW_REPLICAS),
        (exceptions.ResponseError("WRONGTYPE Operation against a key"), Trouble.WRONG_TYPE),
        (
            exceptions.ResponseError("Command # 4 (HLEN x) of pipeline caused error: WRONGTYPE Operation"),
            Trouble.WRONG_TYPE,
        ),
        (
            exceptions.ResponseError("Command # 1 (HLEN x) of pipeline caused error: ('WRONGTYPE Operation',)"),
            Trouble.WRONG_TYPE,
        ),
        (exceptions.ConnectionError("Error 1: [SSL: WRONG_VERSION_NUMBER] wrong version number"), Trouble.NO_TLS),
        (exceptions.MovedError("3999 127.0.0.1:6381"), Trouble.CLUSTER),
        (exceptions.ResponseError("BUSY Redis is busy running a script"), Trouble.BUSY),
        (exceptions.ResponseError("ERR something new"), Trouble.REFUSED),
    ],
    ids=lambda value: value.name if isinstance(value, Trouble) else type(value).__name__,
)
def test_every_failure_has_its_kind(error: Exception, trouble: Trouble) -> None:
    assert trouble_of(error) is trouble


def test_a_problem_says_what_and_what_to_do() -> None:
    problem = RedisProblem(Trouble.OUT_OF_MEMORY, "Redis at redis://cache: OOM")
    assert str(problem).startswith("Redis at redis://cache: OOM; raise maxmemory")
