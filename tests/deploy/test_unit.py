"""The systemd unit fits the server's settings."""

import configparser
from pathlib import Path

from forebay.server.config import Settings

UNIT = Path(__file__).parents[2] / "deploy" / "forebay.service"


def test_the_unit_gives_the_server_what_it_needs() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(UNIT.read_text())
    service = unit["Service"]
    assert service["Restart"] == "always"
    assert float(service["TimeoutStopSec"]) > Settings().shutdown_timeout_seconds
    assert int(service["LimitNOFILE"]) > 4 * Settings().max_connections
    assert service["ProtectSystem"] == "strict"
    assert service["User"] != "root"
    assert service["ExecStart"].endswith(f"serve --data-dir {service['ReadWritePaths']}")
