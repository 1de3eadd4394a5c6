"""Apache Kafka for the tests: brokers of our own that can be killed and paused, and an independent client to look into them.

The brokers are those of `deploy/kafka/kafka.sh`, which knows their settings and their processes. What topics hold is read
with confluent-kafka, never with the program under test.
"""

import atexit
import os
import subprocess
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from program import ROOT, Failure, wait_until

SCRIPT = ROOT / "deploy" / "kafka" / "kafka.sh"
START_SECONDS = 180
REQUEST_SECONDS = 20

QUIET = {"log_level": 0}
"""Brokers that are away are what tests are about; librdkafka would print a line for every try."""

Settings = Mapping[str, str]
"""Settings of a Kafka client beside its bootstrap servers: how it logs in."""


def parse_facts(text: str) -> dict[str, str]:
    """What `kafka.sh` wrote about a cluster: `name=value` lines."""
    return dict(line.split("=", 1) for line in text.splitlines() if line)


class Cluster:
    """One or three brokers in a folder; their ports stay the same however often they are killed and started."""

    def __init__(self, folder: Path, nodes: int = 1, secure: bool = False, advertised_port: int | None = None):
        self.folder = folder
        self.nodes = range(nodes)
        self.secure = secure
        self.advertised_port = advertised_port
        """The port that clients are told, where a proxy of the test listens; nodes after the first have the next ones."""
        self._facts: dict[str, str] = {}

    def start(self) -> "Cluster":
        """Starts what does not run, and returns when every node answers."""
        atexit.register(self.stop)
        options = ["--nodes", str(len(self.nodes))]
        if self.secure:
            options.append("--secure")
        if self.advertised_port is not None:
            options += ["--advertised-port", str(self.advertised_port)]
        self._script("start", *options)
        self._facts = parse_facts((self.folder / "cluster").read_text())
        return self

    def stop(self) -> None:
        """Ends every node, paused or not."""
        atexit.unregister(self.stop)
        if (self.folder / "cluster").exists():
            self._script("stop")

    def __enter__(self) -> "Cluster":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """Where clients begin; with `advertised_port` that is the proxy."""
        return self._facts.get("advertised_bootstrap") or self.direct_bootstrap

    @property
    def direct_bootstrap(self) -> str:
        """The same brokers past the proxy."""
        return self._facts["bootstrap"]

    @property
    def ports(self) -> list[int]:
        """The port of each node that clients reach in the end: with `advertised_port`, the one for the proxy to pass on to."""
        addresses = self._facts.get("behind") or self._facts["bootstrap"]
        return [int(address.rsplit(":", 1)[1]) for address in addresses.split(",")]

    @property
    def pids(self) -> list[int]:
        """The process of each node, as it was started last."""
        return [int((self.folder / f"node-{node}" / "pid").read_text()) for node in self.nodes]

    def log(self, node: int = 0) -> Path:
        """What a node says, over all its lives."""
        return self.folder / f"node-{node}" / "server.log"

    def kill(self, node: int = 0) -> None:
        """SIGKILL; returns when the process is gone."""
        self._script("kill", "--node", str(node))

    def pause(self, node: int = 0) -> None:
        """SIGSTOP: connections stay, and nobody answers."""
        self._script("pause", "--node", str(node))

    def resume(self, node: int = 0) -> None:
        """SIGCONT, after `pause`."""
        self._script("resume", "--node", str(node))

    def restart(self, node: int = 0) -> None:
        """Starts a node that was killed, and returns when it answers."""
        self._script("start", "--node", str(node))

    def wait_in_sync(self, seconds: float = 60) -> None:
        """Until every broker is known and every replica of every partition is in sync, so that any one of them may be lost."""
        wait_until(self._in_sync, seconds, "brokers in sync")

    def _in_sync(self) -> bool:
        try:
            found = admin(self.direct_bootstrap).list_topics(timeout=REQUEST_SECONDS)
        except KafkaException:
            return False
        partitions = [partition for topic in found.topics.values() for partition in topic.partitions.values()]
        return len(found.brokers) == len(self.nodes) and all(
            partition.leader >= 0 and len(partition.isrs) == len(partition.replicas) for partition in partitions
        )

    # With `secure`: logins and files, and what a confluent-kafka client is told of them.

    @property
    def secure_bootstrap(self) -> str:
        """TLS with a login: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."""
        return self._facts["sasl_bootstrap"]

    @property
    def mtls_bootstrap(self) -> str:
        """TLS with a client's certificate."""
        return self._facts["mtls_bootstrap"]

    @property
    def username(self) -> str:
        """May do everything; `guest`, with the same password, nothing that no ACL allows."""
        return self._facts["user"]

    @property
    def password(self) -> str:
        """Also of the encrypted key."""
        return self._secret("password").read_text()

    @property
    def ca(self) -> Path:
        return self._secret("ca.pem")

    @property
    def certificate(self) -> Path:
        return self._secret("client.pem")

    @property
    def key(self) -> Path:
        return self._secret("client.key")

    @property
    def encrypted_key(self) -> Path:
        return self._secret("client-encrypted.key")

    def login(self, username: str | None = None, mechanism: str = "PLAIN") -> Settings:
        """For clients of `secure_bootstrap`."""
        return {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.ca),
            "sasl.mechanism": mechanism,
            "sasl.username": username or self.username,
            "sasl.password": self.password,
        }

    def client_certificate(self) -> Settings:
        """For clients of `mtls_bootstrap`."""
        return {
            "security.protocol": "SSL",
            "ssl.ca.location": str(self.ca),
            "ssl.certificate.location": str(self.certificate),
            "ssl.key.location": str(self.key),
        }

    def _secret(self, name: str) -> Path:
        if not self.secure:
            raise Failure(f"the cluster in {self.folder} was not started with secure=True")
        return self.folder / "secure" / name

    def _script(self, *arguments: str) -> None:
        command = [SCRIPT, *arguments, "--dir", self.folder]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=START_SECONDS)
        if done.returncode != 0:
            raise Failure(f"kafka.sh {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr.strip()}")


@dataclass
class GivenCluster:
    """A cluster that is there already, named by KAFKA_BOOTSTRAP: used, and never killed."""

    bootstrap: str

    def __enter__(self) -> "GivenCluster":
        if not reachable(self.bootstrap):
            raise Failure(f"KAFKA_BOOTSTRAP names {self.bootstrap}, where no broker answers")
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def direct_bootstrap(self) -> str:
        return self.bootstrap

    def _refuse(self, *_: object) -> None:
        raise Failure(
            f"the brokers at {self.bootstrap} are not ours to kill or pause: unset KAFKA_BOOTSTRAP, and the tests start their own"
        )

    kill = pause = resume = restart = _refuse


def cluster_for_tests(folder: Path, nodes: int = 1, environment: Mapping[str, str] = os.environ) -> Cluster | GivenCluster:
    """The cluster that KAFKA_BOOTSTRAP names, otherwise one of our own in `folder`; to be entered with `with`."""
    if bootstrap := environment.get("KAFKA_BOOTSTRAP"):
        return GivenCluster(bootstrap)
    return Cluster(folder, nodes)


@dataclass(frozen=True)
class Record:
    """A record as it lies in a topic."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes] = field(default_factory=dict)


def read_topic(
    bootstrap: str,
    topic: str,
    read_committed: bool = True,
    until: Callable[[list[Record]], bool] | None = None,
    seconds: float = 60,
    settings: Settings = {},
) -> list[Record]:
    """All records from the beginning to the end of every partition, sorted by partition and offset.

    The end is what it is when it is reached; with `read_committed`, that is where an open transaction begins. With `until`
    reading goes on, past the ends, until it says of the records so far that they are enough. A failure after `seconds`.
    """
    partitions = topics(bootstrap, settings).get(topic)
    if partitions is None:
        raise Failure(f"there is no topic `{topic}` at {bootstrap}")
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            **QUIET,
            "group.id": f"reader-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
            "isolation.level": "read_committed" if read_committed else "read_uncommitted",
            **settings,
        }
    )
    records: list[Record] = []
    ended: set[int] = set()

    def enough() -> bool:
        for message in consumer.consume(1000, timeout=0.1):
            error = message.error()
            if error is None:
                records.append(_record(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            elif not error.retriable():
                raise Failure(f"reading `{topic}`: {error}")
        return until(records) if until else len(ended) == partitions

    try:
        # 0 is quicker than "the beginning", which has to be asked for; what was deleted since is stepped over.
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
        wait_until(enough, seconds, f"read `{topic}`", every=0)
    finally:
        consumer.close()
    return sorted(records, key=lambda record: (record.partition, record.offset))


def _record(message) -> Record:
    return Record(
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        dict(message.headers() or []),
    )


def admin(bootstrap: str, settings: Settings = {}) -> AdminClient:
    """A client for requests; it must outlive the answers, which end with it."""
    return AdminClient({"bootstrap.servers": bootstrap, **QUIET, **settings})


def reachable(bootstrap: str, settings: Settings = {}, seconds: float = REQUEST_SECONDS) -> bool:
    """Whether a broker answers."""
    try:
        admin(bootstrap, settings).list_topics(timeout=seconds)
    except KafkaException:
        return False
    return True


def topics(bootstrap: str, settings: Settings = {}) -> dict[str, int]:
    """The topics that are there, and how many partitions each has; without Kafka's own."""
    found = admin(bootstrap, settings).list_topics(timeout=REQUEST_SECONDS)
    return {name: len(topic.partitions) for name, topic in found.topics.items() if not name.startswith("__")}


def create_topic(
    bootstrap: str,
    topic: str,
    partitions: int = 1,
    replication: int = -1,
    config: Mapping[str, str] = {},
    settings: Settings = {},
) -> None:
    """Makes a topic (`replication` -1: the broker's default), and waits until every partition has a leader."""
    client = admin(bootstrap, settings)
    new = NewTopic(topic, partitions, replication, config=dict(config))
    client.create_topics([new], request_timeout=REQUEST_SECONDS)[topic].result()

    def is_there() -> bool:
        found = client.list_topics(timeout=REQUEST_SECONDS).topics.get(topic)
        return found is not None and [part.leader >= 0 for part in found.partitions.values()] == [True] * partitions

    wait_until(is_there, REQUEST_SECONDS, f"topic `{topic}` made")


def delete_topic(bootstrap: str, topic: str, settings: Settings = {}) -> None:
    """Deletes a topic, and waits until it is not there any more."""
    client = admin(bootstrap, settings)
    client.delete_topics([topic], request_timeout=REQUEST_SECONDS)[topic].result()
    wait_until(lambda: topic not in topics(bootstrap, settings), REQUEST_SECONDS, f"topic `{topic}` deleted")


def group_lag(bootstrap: str, group: str, settings: Settings = {}) -> dict[tuple[str, int], int]:
    """How far each partition's committed offset is behind its end (of what is committed), as tools for lag show it.

    Only partitions for which the group has committed an offset; empty when there is no such group. An offset counts what
    transactions leave in the log, so one record and the mark of its commit are a lag of 2.
    """
    client = admin(bootstrap, settings)
    asked = client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], request_timeout=REQUEST_SECONDS)
    found = asked[group].result().topic_partitions
    committed = {(part.topic, part.partition): part.offset for part in found}
    ends = client.list_offsets(
        {TopicPartition(topic, partition): OffsetSpec.latest() for topic, partition in committed},
        isolation_level=IsolationLevel.READ_COMMITTED,
        request_timeout=REQUEST_SECONDS,
    )
    return lag(committed, {(part.topic, part.partition): future.result().offset for part, future in ends.items()})


def lag(committed: Mapping[tuple[str, int], int], ends: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
    """End less committed offset; partitions without a committed offset (negative) are left out."""
    return {part: ends[part] - offset for part, offset in sorted(committed.items()) if offset >= 0}
