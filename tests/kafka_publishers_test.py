"""Publishers that share files: another number of them in the middle of a file, and processes that all start at once.

What must come out is simple here (numbered rows, each key twice), so that rows that come twice, are rejected by other rules
or vanish are seen at once. The archive is read by DuckDB.
"""

import shutil
import signal
import tempfile
import unittest
import uuid
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from kafka import cluster_for_tests
from program import Run, start, tail, wait_until

SECONDS = 90
ROWS = 4_000
KEYS = 2_000
PIPELINE = """\
[pipeline]
name = "numbers"
data_dir = "./{name}"

[source]
path = "data/*.parquet"
pace = "{pace}"
{clean}
[stream]
topic = "{topic}"
partitions = 1
batch_rows = 100

[stream.kafka]
brokers = "{brokers}"
group = "{topic}"
transaction_timeout = "6s"
session_timeout = "6s"

[archive]
path = "./archive"
partition_by = "none"
commit_interval = "200ms"

[server]
http = "127.0.0.1:0"
"""
DEDUP = '[clean.dedup]\nkey = ["key"]\nwithin = "file"\n'
RULE = '[clean.rules]\nn = { column = "n", check = { range = { min = 1000000 } }, action = "reject" }\n'


class SharedFiles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = Path(tempfile.mkdtemp(prefix="millstream-publishers-"))
        cls.addClassCleanup(shutil.rmtree, folder)
        cls.cluster = cls.enterClassContext(cluster_for_tests(folder / "kafka"))

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="millstream-publishers-"))
        self.topic = f"numbers-{uuid.uuid4().hex[:12]}"
        self.runs: list[Run] = []
        (self.folder / "data").mkdir()
        self.addCleanup(lambda: [run.kill() for run in self.runs if run.process.poll() is None])

    def add(self, names: str) -> None:
        rows = pa.table({"key": [n % KEYS for n in range(ROWS)], "n": list(range(ROWS))})
        for name in names:
            pq.write_table(rows, self.folder / "data" / f"{name}.parquet")

    def begin(self, name: str, *arguments: str, clean: str = "", pace: str = "max") -> Run:
        values = {"topic": self.topic, "brokers": self.cluster.bootstrap, "clean": clean, "pace": pace}
        (self.folder / f"{name}.toml").write_text(PIPELINE.format(name=name, **values))
        run = start(self.folder, arguments[0], f"{name}.toml", *arguments[1:], name=name)
        self.runs.append(run)
        return run

    def publish(self, number: int, count: int, **settings: str) -> Run:
        name = f"publisher-{number}-of-{count}-{len(self.runs)}"
        return self.begin(name, "publish", "--publisher", f"{number}/{count}", "--until-done", **settings)

    def half_published(self, number: int, count: int, **settings: str) -> None:
        """Publishes until one file is under way, then dies."""
        run = self.publish(number, count, pace="1000 rows/s", **settings)
        wait_until(lambda: "file started" in run.log.read_text(), SECONDS, f"a file is under way:\n{tail(run.log)}")
        run.wait(2.0)
        run.kill()
        self.assertNotIn("file finished", run.log.read_text())

    def ends(self, run: Run, code: int) -> str:
        self.assertEqual(run.wait(SECONDS), code, f"{tail(run.log)}\nkept: {self.folder}")
        return run.log.read_text()

    def archive(self, expected: int) -> None:
        """Receives until that many rows are in the archive and in rejects, and ends."""
        receiver = self.begin("receiver", "receive")

        def is_all_there() -> bool:
            return self.numbers("rows", "count(*)") + self.numbers("rejects", "count(*)") >= expected

        wait_until(is_all_there, SECONDS, f"all is archived:\n{tail(receiver.log)}\nkept: {self.folder}", every=0.3)
        receiver.process.send_signal(signal.SIGTERM)
        self.ends(receiver, 0)

    def numbers(self, table: str, what: str) -> int:
        folder = self.folder / "archive" / table
        if not list(folder.glob("*.parquet")):
            return 0
        return duckdb.sql(f"SELECT {what} FROM read_parquet('{folder}/*.parquet')").fetchall()[0][0]

    def test_a_file_under_way_keeps_its_keys_and_its_rules_when_there_are_more_publishers(self):
        self.add("abcd")
        self.half_published(0, 1, clean=DEDUP)
        for run in [self.publish(number, 2, clean=DEDUP + RULE) for number in range(2)]:
            self.ends(run, 0)
        # Of the first file each key is there once, by the rules that it began with; all others are rejected by the new ones.
        self.archive(KEYS + 3 * ROWS)
        self.assertEqual(self.numbers("rows", "count(DISTINCT _file)"), 1)
        self.assertEqual((self.numbers("rows", "count(*)"), self.numbers("rows", "count(DISTINCT key)")), (KEYS, KEYS))
        rejected = self.numbers("rejects", "count(DISTINCT _file || '/' || _row)")
        self.assertEqual((self.numbers("rejects", "count(*)"), rejected), (3 * ROWS, 3 * ROWS))

    def test_a_file_under_way_whose_keys_one_publisher_knows_is_not_given_to_another(self):
        self.add("abcd")
        self.half_published(1, 2, clean=DEDUP)
        self.assertIn("half published", self.ends(self.publish(0, 1, clean=DEDUP), 2))
        for run in [self.publish(number, 2, clean=DEDUP) for number in range(2)]:
            self.ends(run, 0)
        self.ends(self.publish(0, 1, clean=DEDUP), 0)
        self.archive(4 * KEYS)
        counted = self.numbers("rows", "count(*)"), self.numbers("rows", "count(DISTINCT _file || '/' || key)")
        self.assertEqual(counted, (4 * KEYS, 4 * KEYS))

    def test_a_publisher_that_does_not_say_which_of_several_it_is_is_refused(self):
        self.add("ab")
        for run in [self.publish(number, 2) for number in range(2)]:
            self.ends(run, 0)
        told = self.ends(self.begin("unnamed", "publish", "--until-done"), 2)
        self.assertIn("--publisher 0/2", told)
        self.ends(self.publish(0, 1), 0)
        # Now there is one.
        self.ends(self.begin("alone", "publish", "--until-done"), 0)

    def test_all_may_start_at_once(self):
        for _ in range(3):
            self.setUp()
            self.add("abcd")
            receiver = self.begin("early", "receive")
            publishers = [self.publish(number, 2) for number in range(2)]
            for run in publishers:
                self.ends(run, 0)
            receiver.process.send_signal(signal.SIGTERM)
            self.ends(receiver, 0)
            told = "".join(run.log.read_text() for run in self.runs)
            self.assertNotIn("now=1", told, "a receiver changed the number of publishers")


if __name__ == "__main__":
    unittest.main()
