from __future__ import annotations

from pathlib import Path

from harness.cache import Cache
from harness.process import free_port
from harness.server import Launch, Server
from peers.fastapi_fdatasync.peer import uvicorn
from services.kafka import KafkaBroker, kafka_libraries

HERE = Path(__file__).parent
TOPIC = "logs"


class FastapiKafka(Server):
    """The broker runs on the server's core and its CPU time counts: without it nothing is acknowledged."""

    name = "fastapi-kafka"
    title = "FastAPI + pydantic + aiokafka → Kafka, acks=all"
    ack = "broker's page cache"
    warmup_s = 5.0

    def prepare(self, cache: Cache) -> None:
        cache.venv(self.name, HERE / "requirements.txt")
        kafka_libraries(cache)

    def start(self, launch: Launch) -> None:
        python = launch.cache.venv(self.name, HERE / "requirements.txt")
        broker = KafkaBroker(launch, free_port(), free_port())
        broker.start()
        broker.create_topic(TOPIC, {})
        launch.run(uvicorn(python, HERE, launch.port), env={"KAFKA_BOOTSTRAP": broker.address})
