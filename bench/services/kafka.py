"""One Apache Kafka broker (KRaft) from Maven Central's jars, on loopback."""

from __future__ import annotations

import base64
import os
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.cache import Cache, call, need
from harness.process import Process, accepts
from harness.server import Launch

#: 4.4.0 was published without all of its artifacts.
KAFKA_VERSION = "4.3.1"
LOG4J_VERSION = "2.24.3"
BROKER_HEAP = "1g"
TOOL_HEAP = "512m"
#: Longer than any run of a tool that measures; it only ends one that hangs.
TOOL_LIMIT_S = 900
PARTITIONS = 4

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>forebay</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
  <version>{KAFKA_VERSION}</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId>
  <version>{KAFKA_VERSION}</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
  <version>{LOG4J_VERSION}</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId>
  <version>{LOG4J_VERSION}</version></dependency>
</dependencies></project>
"""
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
#: Without a configuration the broker logs every request at DEBUG and crawls.
LOGGING = """<Configuration status="WARN"><Appenders><Console name="c"><PatternLayout pattern="%d %p %m%n"/></Console>
</Appenders><Loggers><Root level="WARN"><AppenderRef ref="c"/></Root></Loggers></Configuration>
"""
PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={logs}
num.partitions={partitions}
default.replication.factor=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=8388608
"""


def kafka_libraries(cache: Cache) -> Path:
    """The directory of the jars, fetched once."""
    maven = need("mvn", "Kafka")
    need("java", "Kafka")

    def install(place: Path) -> None:
        (place / "pom.xml").write_text(POM)
        options = ["-DincludeScope=runtime", f"-DoutputDirectory={place / 'lib'}"]
        call([maven, "-B", "-q", "-ntp", "-f", str(place / "pom.xml"), COPY, *options])
        (place / "log4j2.xml").write_text(LOGGING)

    return cache.installed(f"kafka-{KAFKA_VERSION}", POM + LOGGING, install)


def java(place: Path, heap: str, *arguments: str) -> list[str]:
    return [
        *(need("java", "Kafka"), f"-Xmx{heap}", "-Djava.net.preferIPv4Stack=true"),
        *(f"-Dlog4j2.configurationFile={place / 'log4j2.xml'}", "-cp", f"{place / 'lib'}/*", *arguments),
    ]


def tool(launch: Launch, place: Path, *arguments: str) -> str:
    """Returns what a tool printed; it runs on the load's core."""
    result = subprocess.run(
        java(place, TOOL_HEAP, *arguments),
        capture_output=True,
        text=True,
        timeout=TOOL_LIMIT_S,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, launch.cores.load),
    )
    return result.stdout + result.stderr


@dataclass
class KafkaBroker:
    """A broker of ``launch``, on the server's core, with its log below the launch's directory."""

    launch: Launch
    port: int
    controller_port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def place(self) -> Path:
        return kafka_libraries(self.launch.cache)

    def start(self) -> Process:
        """Formats the storage, starts the broker and waits until it answers for its cluster."""
        logs = self.launch.directory / "kafka"
        file = self.launch.directory / "kafka.properties"
        file.write_text(
            PROPERTIES.format(port=self.port, controller=self.controller_port, logs=logs, partitions=PARTITIONS)
        )
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        call(java(self.place, TOOL_HEAP, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(file)))
        process = self.launch.run(java(self.place, BROKER_HEAP, "kafka.Kafka", str(file)))
        process.wait_until(lambda: accepts(self.port))
        return process

    def create_topic(self, topic: str, settings: Mapping[str, str], partitions: int = PARTITIONS) -> None:
        """The tool waits for the broker's registration by itself."""
        configs = [part for key, value in settings.items() for part in ("--config", f"{key}={value}")]
        create = ["--create", "--topic", topic, "--partitions", str(partitions), "--replication-factor", "1"]
        command = ["org.apache.kafka.tools.TopicCommand", "--bootstrap-server", self.address, *create, *configs]
        call(java(self.place, TOOL_HEAP, *command))
