"""NATS JetStream on one file-backed stream, published to asynchronously by four connections."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from harness.cache import Cache, call, need
from harness.load import run_marked
from harness.log_peer import RECORD_BYTES, LogMeasurement, LogPeer
from harness.process import accepts
from harness.server import Launch

HERE = Path(__file__).parent
SERVER = "github.com/nats-io/nats-server/v2@v2.15.2"
CONFIGURATION = """listen: "127.0.0.1:{port}"
jetstream {{
  store_dir: "{directory}"
  max_file_store: 64GB
  sync_interval: {sync_interval}
}}
"""
CLIENTS = 4


class NatsJetstream(LogPeer):
    name = "nats-jetstream"
    title = "NATS JetStream alone, async publish"
    ack = "page cache (fsync every 2 min)"
    sync_interval = "2m"
    #: Messages in flight per connection.
    window = 2048

    def prepare(self, cache: Cache) -> None:
        self.binaries(cache)

    def binaries(self, cache: Cache) -> Path:
        go = need("go", "NATS JetStream")
        sources = [HERE / "client" / name for name in ("go.mod", "go.sum", "main.go")]

        def install(place: Path) -> None:
            call([go, "install", SERVER], cwd=place, env={"GOBIN": str(place)})
            source = place / "client"
            source.mkdir()
            for file in sources:
                shutil.copy(file, source)
            call([go, "build", "-o", str(place / "nats-load"), "."], cwd=source)

        recipe = SERVER + "".join(file.read_text() for file in sources)
        return cache.installed("nats", recipe, install)

    def start(self, launch: Launch) -> None:
        file = launch.directory / "nats.conf"
        store = launch.directory / "store"
        file.write_text(CONFIGURATION.format(port=launch.port, directory=store, sync_interval=self.sync_interval))
        process = launch.run([str(self.binaries(launch.cache) / "nats-server"), "-c", str(file)])
        process.wait_until(lambda: accepts(launch.port))

    def drive(self, launch: Launch, seconds: float) -> LogMeasurement:
        os.sync()
        command = [
            *(str(self.binaries(launch.cache) / "nats-load"), "-url", f"nats://127.0.0.1:{launch.port}"),
            *("-clients", str(CLIENTS), "-window", str(self.window), "-size", str(RECORD_BYTES)),
            *("-duration", f"{seconds}s"),
        ]
        output, cpu = run_marked(command, launch, seconds)
        report = json.loads(output)
        per_million = cpu / max(report["acknowledged"], 1) * 1e6
        return LogMeasurement(report["per_second"], report["p50_ms"], report["p99_ms"], per_million)


class NatsJetstreamSynced(NatsJetstream):
    name = "nats-jetstream-synced"
    title = "NATS JetStream alone, sync_interval: always"
    ack = "fsync"
    sync_interval = "always"
    # The rate is the same with 2048, and the latency then only the queue's length.
    window = 256
