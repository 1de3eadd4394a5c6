"""Other programs read what the program writes to Kafka, while it is written: the examples for Python, kcat, tools for lag."""

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
import uuid
from pathlib import Path

from expected import OFF, Outcomes
from kafka import cluster_for_tests, group_lag, topics
from kafka_pipeline import Pipeline
from program import ROOT, Failure, Run, address, get_json, query, start, wait_until
from reader.delta import count_rows

EXAMPLES = ROOT / "examples" / "python"
SECONDS = 60


def identities(lines: list[str]) -> list[tuple[str, int]]:
    rows = map(json.loads, lines)
    return sorted((row["_file"], row["_row"]) for row in rows)


def delivered(outcomes: Outcomes) -> list[tuple[str, int]]:
    return sorted(zip(outcomes.delivered["_file"].to_pylist(), outcomes.delivered["_row"].to_pylist()))


class OtherReaders(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = Path(tempfile.mkdtemp(prefix="millstream-consumer-"))
        cls.addClassCleanup(shutil.rmtree, folder)
        cls.cluster = cls.enterClassContext(cluster_for_tests(folder / "kafka"))

    def example(self, name: str, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, EXAMPLES / name, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)

    def test_the_examples_for_python_see_each_row_once_while_rows_are_written(self):
        pipeline = Pipeline(self, self.cluster.bootstrap, settings={"source.watch": "true", "source.pace": '"5000 rows/s"'})
        program = pipeline.start("run", "pipeline.toml")
        url = address(pipeline.folder, program)
        consumed = pipeline.folder / "consumed.jsonl"
        with open(consumed, "wb") as out:
            command = [sys.executable, EXAMPLES / "consume.py", self.cluster.bootstrap, pipeline.topic]
            consumer = subprocess.Popen(command, stdout=out)
        self.addCleanup(lambda: consumer.poll() is None and consumer.kill())
        self.assertFalse(self.all_seen(url, pipeline), "the rows were written before a consumer could begin")
        counted = "SELECT count(*) AS rows, count(DISTINCT _file || ':' || CAST(_row AS VARCHAR)) AS distinct FROM events"

        def asked() -> dict:
            done = self.example("query.py", url, counted)
            self.assertEqual(done.returncode, 0, done.stderr)
            return json.loads(done.stdout)

        while True:
            last = self.all_seen(url, pipeline)
            answer = asked()
            self.assertEqual(answer["rows"], answer["distinct"])
            if last:
                break
        self.assertEqual(answer["rows"], pipeline.outcomes.delivered.num_rows)
        wait_until(lambda: len(self.lines(consumed)) >= answer["rows"], SECONDS, "all rows consumed")
        consumer.send_signal(signal.SIGINT)
        self.assertEqual(consumer.wait(SECONDS), 0)
        self.assertEqual(identities(self.lines(consumed)), delivered(pipeline.outcomes))
        again = self.example("consume.py", self.cluster.bootstrap, pipeline.topic, "--until-end")
        self.assertEqual((again.returncode, again.stderr), (0, ""))
        self.assertEqual(identities(again.stdout.splitlines()), delivered(pipeline.outcomes))
        program.process.send_signal(signal.SIGTERM)
        pipeline.ends_well(program)
        pipeline.check()

    def all_seen(self, url: str, pipeline: Pipeline) -> bool:
        """Whether every row of the files has its outcome, and a query sees those that were delivered."""
        source = get_json(url, "/api/status")["source"]
        if source["rows_read"] < source["rows_total"] or source["files_done"] < len(pipeline.files):
            return False
        return query(url, "SELECT count(*) FROM events")[0][0] >= pipeline.outcomes.delivered.num_rows

    def lines(self, path: Path) -> list[str]:
        """Lines that were written whole."""
        text = path.read_text()
        return text[: text.rfind("\n") + 1].splitlines()

    def test_the_examples_say_what_is_wrong(self):
        unknown = self.example("consume.py", self.cluster.bootstrap, "no-such-topic", "--until-end")
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("nknown topic", unknown.stderr)
        nobody = self.example("query.py", "http://127.0.0.1:1", "SELECT 1")
        self.assertEqual((nobody.returncode, nobody.stdout), (1, ""))
        self.assertIn("http://127.0.0.1:1", nobody.stderr)

    def test_the_demo_says_how_to_read_its_topic_and_the_readme_names_what_make_starts(self):
        folder = Path(tempfile.mkdtemp(prefix="millstream-demo-"))
        topic = f"taxi-{uuid.uuid4().hex[:8]}"
        options = ["--no-browser", "--port", "0", "--dir", "demo", "--kafka", self.cluster.bootstrap, "--topic", topic]
        demo = start(folder, "demo", *options)
        self.addCleanup(lambda: demo.process.poll() is None and demo.kill())
        told = wait_until(
            lambda: re.search(r"to read it: examples/python/consume.py (\S+) (\S+)", demo.log.read_text()),
            SECONDS,
            f"it says how to read the topic:\n{demo.log.read_text()}",
        )
        self.assertEqual(told.groups(), (self.cluster.bootstrap, topic))

        def consumed() -> list[str]:
            done = self.example("consume.py", *told.groups(), "--until-end")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            return done.stdout.splitlines()

        rows = wait_until(consumed, SECONDS, "rows of the demo consumed")
        self.assertTrue(all(row["_file"].startswith("data/") for row in map(json.loads, rows)))
        demo.process.send_signal(signal.SIGINT)
        self.assertEqual(demo.wait(SECONDS), 0, demo.log.read_text())
        again = start(folder, "demo", *options)
        self.addCleanup(lambda: again.process.poll() is None and again.kill())
        wait_until(lambda: demo.log.read_text().count("to read it:") == 2, SECONDS, "a second run says so, too")
        again.process.send_signal(signal.SIGINT)
        self.assertEqual(again.wait(SECONDS), 0, again.log.read_text())
        shutil.rmtree(folder)
        named = re.search(r"consume.py 127.0.0.1:(\d+) (\w+)", (EXAMPLES / "README.md").read_text())
        makefile = (ROOT / "Makefile").read_text()
        self.assertIn(f"--port {named[1]}", makefile)
        self.assertIn(f"--topic {named[2]} ", makefile)

    def test_kcat_reads_json_and_rows_with_the_same_key_are_in_one_partition(self):
        pipeline = Pipeline(
            self,
            self.cluster.bootstrap,
            settings={"stream.format": '"json"', "stream.key": '"pickup_location_id"', "stream.partitions": "3"},
        )
        pipeline.ends_well(pipeline.run())
        command = ["kcat", "-C", "-b", self.cluster.bootstrap, "-t", pipeline.topic, "-e", "-q", "-f", r"%p\t%k\t%s\n"]
        read = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        self.assertEqual(read.returncode, 0, read.stderr)
        records = [line.split("\t", 2) for line in read.stdout.splitlines()]
        self.assertEqual(identities([value for _, _, value in records]), delivered(pipeline.outcomes))
        partitions: dict[str, set[str]] = {}
        for partition, key, value in records:
            self.assertEqual(key, str(json.loads(value)["pickup_location_id"]))
            partitions.setdefault(key, set()).add(partition)
        self.assertEqual([key for key, places in partitions.items() if len(places) > 1], [])
        self.assertEqual({place for places in partitions.values() for place in places}, {"0", "1", "2"})
        pipeline.check()

    def test_the_lag_of_the_group_is_true(self):
        pipeline = Pipeline(
            self,
            self.cluster.bootstrap,
            settings={"archive.path": '"./archive"', "stream.kafka.session_timeout": '"60s"'},
            dedup=OFF,
        )
        receiver_file = pipeline.write("receiver", pipeline__data_dir='"./receiver"')
        server_file = pipeline.write("server", pipeline__data_dir='"./server"')
        self.publish(pipeline)
        receiver = pipeline.start("receive", receiver_file, name="receiver")
        self.until_archived(pipeline)
        self.until_no_lag(pipeline)
        self.assertEqual(set(self.lag(pipeline)), self.partitions(pipeline))
        server = pipeline.start("serve", server_file, name="server")
        url = address(pipeline.folder, server, data_dir="server")
        self.assertEqual(self.lag_by_status(url), self.lag(pipeline))

        receiver.pause()
        pipeline.add(["2020-11"])
        self.publish(pipeline)
        lag = self.lag(pipeline)
        self.assertGreater(max(lag.values()), 0)
        wait_until(lambda: self.lag_by_status(url) == lag, SECONDS, f"status tells the lag {lag} of a receiver that sleeps")
        self.assertEqual(self.lag(pipeline), lag)

        receiver.go_on()
        self.until_archived(pipeline)
        self.until_no_lag(pipeline)
        wait_until(lambda: set(self.lag_by_status(url).values()) == {0}, SECONDS, "a lag of 0 by status")
        for run in [server, receiver]:
            self.stopped(pipeline, run)

    def publish(self, pipeline: Pipeline) -> None:
        file = pipeline.write("publisher", pipeline__data_dir='"./publisher"')
        pipeline.ends_well(pipeline.start("publish", file, "--publisher", "0/1", "--until-done", name="publisher"))

    def stopped(self, pipeline: Pipeline, run: Run) -> None:
        run.process.send_signal(signal.SIGTERM)
        pipeline.ends_well(run)

    def until_no_lag(self, pipeline: Pipeline) -> None:
        try:
            wait_until(lambda: set(self.lag(pipeline).values()) == {0}, SECONDS, "no lag in the end")
        except Failure as failure:
            self.fail(f"{failure}, but {self.lag(pipeline)}")

    def lag(self, pipeline: Pipeline) -> dict[tuple[str, int], int]:
        return group_lag(self.cluster.bootstrap, pipeline.topic)

    def lag_by_status(self, url: str) -> dict[tuple[str, int], int]:
        partitions = get_json(url, "/api/status")["stream"]["partitions"]
        return {(part["topic"], part["partition"]): part["end_offset"] - part["archived_offset"] for part in partitions}

    def partitions(self, pipeline: Pipeline) -> set[tuple[str, int]]:
        there = topics(self.cluster.bootstrap)
        names = [pipeline.topic, f"{pipeline.topic}.rejects"]
        return {(name, partition) for name in names for partition in range(there[name])}

    def until_archived(self, pipeline: Pipeline) -> None:
        def archived() -> bool:
            outcomes = pipeline.outcomes
            wanted = {"rows": outcomes.delivered.num_rows, "rejects": outcomes.rejected.num_rows}
            return all(count_rows(pipeline.folder / "archive" / name) == rows for name, rows in wanted.items())

        wait_until(archived, SECONDS, f"all rows archived (kept: {pipeline.folder})", every=0.2)


if __name__ == "__main__":
    unittest.main()
