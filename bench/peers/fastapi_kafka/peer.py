from __future__ import annotations

from pathlib import Path

from harness.cache import Cache
from harness.process import free_port
from harness.server import Launch, Server
from peers.fastapi_fdatasync.peer import uvicorn
from services.kafka import KafkaBroker, kafka_libraries

HERE = Path(__file__).parent


class FastapiKafka(Server):
    """The broker runs on the server's core and its CPU time counts: without it nothing is acknowledged."""

    name = "fastapi-kafka"
    title = "FastAPI + pydantic + aiokafka → Kafka, acks=all"
    ack = "broker's page cache"
    warmup_s = 5.0
    #: The folder of the application, and the topic that it writes to.
    app = HERE
    topic = "logs"

    def prepare(self, cache: Cache) -> None:
        self.python(cache)
        kafka_libraries(cache)

    def start(self, launch: Launch) -> None:
        python = self.python(launch.cache)
        broker = KafkaBroker(launch, free_port(), free_port())
        broker.start()
        broker.create_topic(self.topic, {})
        launch.run(uvicorn(python, self.app, launch.port), env={"KAFKA_BOOTSTRAP": broker.address})

    def python(self, cache: Cache) -> Path:
        return cache.venv("fastapi-kafka", HERE / "requirements.txt")
