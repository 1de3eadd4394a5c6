"""A life of the kill test over Kafka: also the broker dies, the wire breaks, and the program sleeps past its time-outs.

Each life has topics of its own. In the end they are read, too: by an independent consumer, with `read_committed`.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from expected import Outcomes
from kafka import Cluster, GivenCluster, delete_topic
from kafka_proxy import Proxy
from kafka_rows import topic_differences, topics_of
from kill_life import END_SECONDS, Life
from kill_plan import Plan
from program import Run, registered, wait_until

SHARES = {"failpoint": 1, "moment": 1, "signal": 1, "broker": 1, "zombie": 1}
WIRE_SHARES = {"wire": 5, "moment": 1}
TIMEOUT_SECONDS = 6
"""Of transactions and of receivers' sessions: short, so that who sleeps is soon given up."""
BROKER_AWAY_SECONDS = 2.0
FLOW_SECONDS = 0.5
"""How long after its start rows of a process flow at the full pace, more or less."""
FILE_ROWS = 10_000
"""Of a file of the example, more or less."""


@dataclass
class Place:
    """Where lives take place: the cluster of this run, and the wire to it if that can be broken."""

    cluster: Cluster | GivenCluster
    brokers: int = 1
    proxy: Proxy | None = None


@dataclass(kw_only=True)
class KafkaLife(Life):
    """All stages in one process, the log in Kafka."""

    place: Place
    topic: str = field(default_factory=lambda: f"taxi-{uuid.uuid4().hex[:12]}")
    keeps_records: bool = True
    """Whether the topics hold in the end all that was written to them."""
    flow_seconds: float = FLOW_SECONDS
    """How long rows of a whole run flow."""

    def _settings(self, arrives: bool) -> dict[str, str]:
        settings = super()._settings(arrives)
        pace = self.rng.choice([0, 8000, 4000, 2000])
        settings["source.pace"] = f'"{pace} rows/s"' if pace else '"max"'
        self.flow_seconds = FILE_ROWS * len(self.files) / pace if pace else FLOW_SECONDS
        self.keeps_records = settings["stream.retention"] == '"1h"'
        settings["stream.topic"] = f'"{self.topic}"'
        settings["stream.format"] = self.rng.choice(['"arrow"', '"arrow"', '"json"'])
        if self.rng.random() < 0.5:
            settings["stream.key"] = self.rng.choice(['"vendor_id"', '["pickup_location_id", "payment_type"]'])
        kafka = {
            "brokers": f'"{self.place.cluster.bootstrap}"',
            "transaction_timeout": f'"{TIMEOUT_SECONDS}s"',
            "session_timeout": f'"{TIMEOUT_SECONDS}s"',
            "group": f'"{self.topic}"',
        }
        if self.place.brokers > 1:
            kafka |= {"replication": "3", "min_insync_replicas": "2"}
        return settings | {f"stream.kafka.{key}": value for key, value in kafka.items()}

    def _until_moment(self, run: Run) -> int | None:
        """Mostly while rows flow: over Kafka, much of the time of a process is its start."""
        if self.rng.random() < 0.2:
            return super()._until_moment(run)
        wait_until(lambda: run.process.poll() is not None or registered(self.folder, run), END_SECONDS, "started")
        return run.wait(self.rng.uniform(0, min(5.0, self.flow_seconds)))

    def _kinds(self) -> dict[str, Callable[[Run, Plan], bool]]:
        kinds = {"broker": self._kill_broker, "zombie": self._sleep_past_timeouts, "wire": self._break_wire}
        return super()._kinds() | kinds

    def _kill_broker(self, run: Run, plan: Plan) -> bool:
        """A broker dies and comes back; the program goes on by itself, unless it is killed meanwhile, too."""
        with self._broker_away(plan) as seconds:
            run.wait(seconds)
            if self.rng.random() < 0.3 and run.process.poll() is None:
                plan.detail += ", then SIGKILL"
                run.kill()
                return True
        return self._goes_on(run, plan)

    def _broker_away(self, plan: Plan) -> "_BrokerAway":
        cluster = self.place.cluster
        node = self.rng.choice(list(cluster.nodes))
        seconds = self.rng.uniform(0, BROKER_AWAY_SECONDS)
        plan.detail = f"{node} for {seconds:.1f} s"
        return _BrokerAway(cluster, node, seconds)

    def _sleep_past_timeouts(self, run: Run, plan: Plan) -> bool:
        """The broker has given up its transaction and its place in the group when it wakes up."""
        self._sleep(run, plan)
        return self._goes_on(run, plan)

    def _sleep(self, run: Run, plan: Plan) -> None:
        seconds = TIMEOUT_SECONDS + self.rng.uniform(1, 3)
        plan.detail = f"{plan.detail} {seconds:.1f} s".lstrip()
        run.pause()
        time.sleep(seconds)
        run.go_on()

    def _break_wire(self, run: Run, plan: Plan) -> bool:
        break_wire(self.place.proxy, run, plan, self.rng)
        return self._goes_on(run, plan)

    def _more_differences(self, outcomes: Outcomes) -> list[str]:
        bootstrap = self.place.cluster.direct_bootstrap
        return topic_differences(bootstrap, self.topic, outcomes, whole=self.keeps_records)

    def _clear(self) -> None:
        bootstrap = self.place.cluster.direct_bootstrap
        for topic in topics_of(bootstrap, self.topic):
            delete_topic(bootstrap, topic)


@dataclass
class _BrokerAway:
    """SIGKILL for a broker on entering; on leaving it is started again, and back in sync."""

    cluster: Cluster
    node: int
    seconds: float

    def __enter__(self) -> float:
        self.cluster.kill(self.node)
        return self.seconds

    def __exit__(self, *_: object) -> None:
        self.cluster.restart(self.node)
        self.cluster.wait_in_sync()


def break_wire(proxy: Proxy, run: Run, plan: Plan, rng) -> None:
    """One fault of the wire while `run` goes on, and the wire healed after it."""
    fault = rng.choice(["delay", "cut", "hold", "swallow", "away"])
    long = rng.random() < 0.3
    seconds = TIMEOUT_SECONDS + rng.uniform(1, 3) if long else rng.uniform(0.05, 2)
    plan.detail = f"{fault} {seconds:.1f} s"
    if fault == "cut":
        # Again and again, as a bad wire does.
        until = time.monotonic() + seconds
        while time.monotonic() < until and run.process.poll() is None:
            proxy.cut()
            run.wait(rng.uniform(0, 0.5))
    elif fault == "delay":
        proxy.delay_seconds = rng.uniform(0.02, 0.3)
    else:
        {"hold": proxy.hold, "swallow": proxy.swallow, "away": proxy.away}[fault]()
    if fault != "cut":
        run.wait(seconds)
    proxy.heal()
