"""A topic that another program writes: each record is a row or a reject, once, although the receiving processes are killed.

Records are good in several ways or bad in several ways, and come while processes die by SIGKILL and start again. What must
come of each is known by its partition and offset, and compared with the archive by the independent reader.
"""

import json
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

from confluent_kafka import Producer
from kafka import cluster_for_tests, create_topic, delete_topic
from program import Run, binary, get_json, registered, start, tail, wait_until, was_killed
from reader import read_archive
from reader.delta import count_rows

SECONDS = 90
RECORDS = 2_000
PARTITIONS = 3
KILLS = 2
PIPELINE = """\
[pipeline]
name = "orders"
data_dir = "./{name}"

[source]
event_time = "at"

[clean.columns]
id     = {{ from = ["ID"], type = "int64" }}
name   = {{ type = "string", trim = true }}
amount = {{ type = "decimal(10,2)" }}
at     = {{ type = "timestamp" }}

[clean.filter]
keep = "name IS NULL OR name <> 'nobody'"

[clean.rules]
amount = {{ column = "amount", check = {{ range = {{ min = 0 }} }}, action = "reject" }}

[stream]
topic = "{topic}"
partitions = {partitions}
format = "json"

[stream.kafka]
brokers = "{brokers}"
group = "{topic}"
foreign = true
session_timeout = "6s"

[archive]
path = "./archive"
partition_by = "none"
commit_interval = "200ms"

[server]
http = "127.0.0.1:0"
"""
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
DELIVERED, REJECTED, FILTERED = "delivered", "rejected", "filtered"


@dataclass
class Fate:
    """What must become of a record."""

    outcome: str
    row: dict = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)


def record(number: int) -> tuple[bytes | None, Fate]:
    """The value of a record, and what must become of it."""
    at = START + timedelta(seconds=number)
    row = {"id": number, "name": "Ada", "amount": Decimal(number) / 4, "at": at}
    text = {"id": number, "name": " Ada ", "amount": str(row["amount"]), "at": at.isoformat().replace("+00:00", "Z")}
    there = at.astimezone(timezone(timedelta(hours=2))).isoformat()
    kinds = [
        (text, Fate(DELIVERED, row)),
        ({"at": there, "amount": number / 4, "more": [1, {"a": None}], "ID": number}, Fate(DELIVERED, row | {"name": None})),
        ({**text, "amount": None}, Fate(DELIVERED, row | {"amount": None})),
        ({**text, "name": "nobody"}, Fate(FILTERED)),
        ({**text, "amount": "-1"}, Fate(REJECTED, rules=["amount"])),
        ({**text, "id": "many"}, Fate(REJECTED, rules=["type:id"])),
        ({**text, "id": "many", "amount": "-1"}, Fate(REJECTED, rules=["amount", "type:id"])),
        (b"hello", Fate(REJECTED, rules=["record:not_json"])),
        ([1, 2], Fate(REJECTED, rules=["record:not_json"])),
        (b"\xff\xfe{", Fate(REJECTED, rules=["record:not_json"])),
        (None, Fate(REJECTED, rules=["record:not_json"])),
    ]
    # Mostly good ones, as in life.
    value, fate = kinds[number % len(kinds) if number % 4 == 0 else number % 3]
    return (json.dumps(value).encode() if isinstance(value, (dict, list)) else value), fate


class AnotherProgram(threading.Thread):
    """Writes the records in bursts, and notes what must become of the one at each partition and offset."""

    def __init__(self, brokers: str, topic: str, seed: int):
        super().__init__()
        self.topic = topic
        self.rng = random.Random(seed)
        self.producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True})
        self.fates: dict[tuple[str, int], Fate] = {}
        self.wrong: list[str] = []

    def run(self) -> None:
        for number in range(RECORDS):
            value, fate = record(number)
            self.producer.produce(self.topic, value, partition=number % PARTITIONS, on_delivery=self._noting(fate))
            if number % 100 == 0:
                self.producer.flush(SECONDS)
                time.sleep(self.rng.uniform(0.1, 0.5))
        if left := self.producer.flush(SECONDS):
            self.wrong.append(f"{left} records were not delivered")

    def _noting(self, fate: Fate):
        def note(error, message) -> None:
            if error:
                self.wrong.append(str(error))
            else:
                self.fates[f"{self.topic}/{message.partition()}", message.offset()] = fate

        return note

    def of(self, outcome: str) -> dict[tuple[str, int], Fate]:
        return {place: fate for place, fate in self.fates.items() if fate.outcome == outcome}


class TopicOfAnotherProgram(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = Path(tempfile.mkdtemp(prefix="millstream-foreign-"))
        cls.addClassCleanup(shutil.rmtree, folder)
        cls.cluster = cls.enterClassContext(cluster_for_tests(folder / "kafka"))
        cls.seed = random.SystemRandom().randrange(2**32)
        print(f"seed {cls.seed}")

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="millstream-foreign-"))
        self.topic = f"orders-{uuid.uuid4().hex[:12]}"
        self.rng = random.Random(self.seed)
        self.runs: list[Run] = []
        self.addCleanup(lambda: [run.kill() for run in self.runs if run.process.poll() is None])

    def begin(
        self, command: str, name: str, pipeline: str = PIPELINE, environment: dict[str, str] | None = None
    ) -> Run:
        values = {"topic": self.topic, "partitions": PARTITIONS, "brokers": self.cluster.bootstrap}
        (self.folder / f"{name}.toml").write_text(pipeline.format(name=name, **values))
        run = start(self.folder, command, f"{name}.toml", environment=environment, name=name)
        self.runs.append(run)
        return run

    def told(self, run: Run) -> str:
        return f"{tail(run.log)}\nkept: {self.folder}"

    def until_started(self, run: Run, name: str) -> None:
        wait_until(lambda: registered(self.folder, run, name), SECONDS, f"started:\n{self.told(run)}")

    def killed_while_records_come(self, command: str, processes: int) -> None:
        create_topic(self.cluster.bootstrap, self.topic, PARTITIONS)
        writer = AnotherProgram(self.cluster.bootstrap, self.topic, self.seed)
        writer.start()
        running = {name: self.begin(command, name) for name in [f"{command}-{number}" for number in range(processes)]}
        for _ in range(KILLS):
            name = self.rng.choice(list(running))
            run = running[name]
            self.until_started(run, name)
            time.sleep(self.rng.uniform(0, 2))
            self.assertIsNone(run.process.poll(), self.told(run))
            run.kill()
            running[name] = self.begin(command, name)
        writer.join()
        self.assertEqual(writer.wrong, [])
        self.assertEqual(len(writer.fates), RECORDS)
        wanted = [len(writer.of(DELIVERED)), len(writer.of(REJECTED))]

        def archived() -> bool:
            return [count_rows(self.folder / "archive" / table) for table in ["rows", "rejects"]] == wanted

        wait_until(archived, SECONDS, f"{wanted} rows and rejects archived:\n{self.told(run)}", every=0.2)
        for name, run in running.items():
            self.until_started(run, name)
            url = registered(self.folder, run, name)
            counts = [len(writer.of(outcome)) for outcome in [DELIVERED, REJECTED, FILTERED]]

            def all_counted() -> bool:
                total = get_json(url, "/api/ledger")["total"]
                clean = get_json(url, "/api/status")["clean"]
                told = [clean["clean"], clean["rejected"], clean["filtered"]]
                return [total[outcome] for outcome in [DELIVERED, REJECTED, FILTERED]] == told == counts

            wait_until(all_counted, SECONDS, f"{name} tells {counts}:\n{self.told(run)}")
            self.assertIsNone(run.process.poll(), self.told(run))
            run.process.send_signal(signal.SIGTERM)
            self.assertEqual(run.wait(SECONDS), 0, self.told(run))
        self.compare(writer)
        for name in running:
            self.books_add_up(name, writer)
        shutil.rmtree(self.folder)

    def books_add_up(self, name: str, writer: AnotherProgram) -> None:
        """Ledger and recount have every record: whichever process counted it, and although some were killed."""
        wanted = {outcome: len(writer.of(outcome)) for outcome in [DELIVERED, REJECTED, FILTERED]}
        ledger = self.printed(name, "status")["ledger"]
        self.assertTrue(ledger["balanced"], ledger)
        self.assertEqual({outcome: ledger["total"][outcome] for outcome in wanted}, wanted)
        self.assertEqual((ledger["total"]["rows"], ledger["total"]["in_flight"]), (RECORDS, 0))
        report = self.printed(name, "verify")
        self.assertTrue(report["ok"], report)
        self.assertEqual({outcome: report[outcome] for outcome in wanted}, wanted)
        self.assertIn(f"{RECORDS} of the archived records", " ".join(report["notes"]))

    def printed(self, name: str, command: str) -> dict:
        """What a command says of a pipeline that does not run."""
        run = [binary(), command, f"{name}.toml", "--json"]
        done = subprocess.run(run, cwd=self.folder, capture_output=True, text=True, timeout=SECONDS)
        self.assertEqual(done.returncode, 0, f"{done.stdout}\n{done.stderr}")
        return json.loads(done.stdout)

    def compare(self, writer: AnotherProgram) -> None:
        """Every record is where it must be, once, with its values."""
        kept = f"kept: {self.folder}"
        archive = read_archive(self.folder / "archive")
        rows = {(row["_file"], row["_row"]): row for row in archive.rows.rows.to_pylist()}
        rejects = {(row["_file"], row["_row"]): row for row in archive.rejects.rows.to_pylist()}
        self.assertEqual(sorted(rows), sorted(writer.of(DELIVERED)), kept)
        self.assertEqual(sorted(rejects), sorted(writer.of(REJECTED)), kept)
        for place, fate in writer.of(DELIVERED).items():
            self.assertEqual({name: rows[place][name] for name in fate.row}, fate.row, f"{place}, {kept}")
        for place, fate in writer.of(REJECTED).items():
            self.assertEqual(sorted(rejects[place]["rules"]), fate.rules, f"{place}, {kept}")
            self.assertEqual(len(rejects[place]["reasons"]), len(fate.rules), f"{place}, {kept}")

    def test_records_that_are_archived_in_part_are_not_cleaned_by_other_rules(self):
        create_topic(self.cluster.bootstrap, self.topic, PARTITIONS)
        writer = Producer({"bootstrap.servers": self.cluster.bootstrap})
        for number in range(9):
            writer.produce(self.topic, json.dumps({"id": number, "amount": 50}).encode(), partition=0)
        self.assertEqual(writer.flush(SECONDS), 0)
        strict = PIPELINE.replace("min = 0", "min = 100")
        # The table of rows is committed, with no row; that of rejects is not.
        died = self.begin("run", "run-0", strict, {"MILLSTREAM_FAILPOINT": "archive.committed:1"})
        self.assertTrue(was_killed(died.wait(SECONDS)), self.told(died))
        other = self.begin("run", "run-0")
        self.assertEqual(other.wait(SECONDS), 2, self.told(other))
        self.assertIn("under other rules", other.log.read_text())
        again = self.begin("run", "run-0", strict)
        table = self.folder / "archive" / "rejects"
        wait_until(lambda: table.exists() and count_rows(table) == 9, SECONDS, f"rejected:\n{self.told(again)}")
        again.process.send_signal(signal.SIGTERM)
        self.assertEqual(again.wait(SECONDS), 0, self.told(again))
        self.assertEqual(count_rows(self.folder / "archive" / "rows"), 0)
        shutil.rmtree(self.folder)

    def produced(self, numbers: range) -> None:
        producer = Producer({"bootstrap.servers": self.cluster.bootstrap})
        for number in numbers:
            producer.produce(self.topic, json.dumps({"id": number}).encode(), partition=number % PARTITIONS)
        self.assertEqual(producer.flush(SECONDS), 0)

    def until_rows(self, count: int, run: Run, archive: str = "archive") -> None:
        table = self.folder / archive / "rows"

        def archived() -> bool:
            return table.exists() and count_rows(table) == count

        wait_until(archived, SECONDS, f"{count} rows archived:\n{self.told(run)}", every=0.2)

    def test_a_topic_that_was_made_anew_and_is_longer_than_before_is_refused(self):
        create_topic(self.cluster.bootstrap, self.topic, PARTITIONS)
        self.produced(range(30))
        run = self.begin("run", "run-0")
        self.until_rows(30, run)
        run.process.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(SECONDS), 0, self.told(run))
        delete_topic(self.cluster.bootstrap, self.topic)
        create_topic(self.cluster.bootstrap, self.topic, PARTITIONS)
        self.produced(range(1000, 1090))
        for command in ["run", "receive", "serve"]:
            again = self.begin(command, f"{command}-0")
            self.assertEqual(again.wait(SECONDS), 2, self.told(again))
            said = again.log.read_text().rsplit("error: ", 1)[1]
            for word in [self.topic, "deleted and made anew", "archive.path"]:
                self.assertIn(word, said)
        self.assertEqual(count_rows(self.folder / "archive" / "rows"), 30)
        # The way out.
        anew = self.begin("run", "anew", PIPELINE.replace("./archive", "./archive-2"))
        self.until_rows(90, anew, "archive-2")
        anew.process.send_signal(signal.SIGTERM)
        self.assertEqual(anew.wait(SECONDS), 0, self.told(anew))
        shutil.rmtree(self.folder)

    def test_a_topic_that_is_made_anew_while_it_is_received_stops_the_receiver_before_a_row_of_it_is_archived(self):
        create_topic(self.cluster.bootstrap, self.topic, PARTITIONS)
        self.produced(range(30))
        run = self.begin("run", "run-0")
        self.until_rows(30, run)
        # Asleep, it cannot notice that the topic is away for a moment.
        run.pause()
        delete_topic(self.cluster.bootstrap, self.topic)
        create_topic(self.cluster.bootstrap, self.topic, PARTITIONS)
        self.produced(range(1000, 1090))
        run.go_on()
        self.assertEqual(run.wait(SECONDS), 2, self.told(run))
        said = run.log.read_text().rsplit("error: ", 1)[1]
        for word in [self.topic, "made anew", "archive.path"]:
            self.assertIn(word, said)
        self.assertEqual(count_rows(self.folder / "archive" / "rows"), 30)
        shutil.rmtree(self.folder)

    def test_each_record_is_a_row_or_a_reject_once_although_the_program_is_killed(self):
        self.killed_while_records_come("run", 1)

    def test_each_record_is_a_row_or_a_reject_once_although_receivers_are_killed(self):
        self.killed_while_records_come("receive", 2)


if __name__ == "__main__":
    unittest.main()
