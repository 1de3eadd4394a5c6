"""The whole way with a real Spark: over a real Kafka, by way of a staging folder, through what can go wrong; and the archive
as Spark itself reads it.

    PYTHONPATH=tests python tests/spark_pipeline_test.py        SPARK_CONNECT names a server that is there; it is not killed
"""

import shutil
import signal
import tempfile
import threading
import time
import unittest
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from kafka import Cluster
from kafka_pipeline import FILES, SMALL, Pipeline
from kill_spark import TROUBLE, left_behind
from program import DATA_DIR, Run, registered, wait_until
from reader.delta import replay
from spark import GivenServer, OfVersion, Server, parquet_files, server_for_tests
from spark_pipeline import SparkPipeline

SECONDS = 90
SOON_SECONDS = 15
"""How soon a stop that is asked for comes, at the latest, on a busy machine."""
JOB, CANCELLED, WRITTEN = "Got job", "Asked to cancel jobs", "Using default output committer for Parquet"
"""What Spark says of a query that begins to run, of one that is interrupted, and of one that writes files."""
SUMS = [
    "count(*)",
    "count(DISTINCT _row)",
    "sum(total_amount)",
    "sum(tip_amount)",
    "count(extra)",
    "sum(passenger_count)",
    "sum(pickup_location_id)",
    "count(congestion_surcharge)",
]


class WithSpark(unittest.TestCase):
    """One server for all tests of this file but those that want another."""

    server: Server | GivenServer | None = None

    @classmethod
    def setUpClass(cls):
        if cls.server is None:
            folder = Path(tempfile.mkdtemp(prefix="millstream-spark-"))
            unittest.addModuleCleanup(shutil.rmtree, folder)
            WithSpark.server = unittest.enterModuleContext(server_for_tests(folder / "server"))

    def pipeline(self, *files: str, **settings: str) -> SparkPipeline:
        """The taxi example, cleaned by the server; settings as `section__key`."""
        named = {key.replace("__", "."): value for key, value in settings.items()}
        return SparkPipeline(self, self.server.address, files or FILES, named)

    def started(self, pipeline: Pipeline) -> Run:
        """A process that has come so far that it cleans."""
        run = pipeline.run()
        wait_until(lambda: registered(pipeline.folder, run), SECONDS, f"started:\n{pipeline.told(run)}")
        return run

    def until_said(self, pipeline: Pipeline, run: Run, text: str) -> None:
        wait_until(lambda: text in run.log.read_text(), SECONDS, f"`{text}` said:\n{pipeline.told(run)}")

    def refused(self, pipeline: Pipeline, run: Run, *words: str) -> str:
        """It ends by itself with an error in which all of `words` are; that error."""
        code = pipeline.ended(run)
        said = pipeline.told(run)
        self.assertIn(code, (1, 2), said)
        error = run.log.read_text().rsplit("\nerror: ", 1)[-1]
        for word in words:
            self.assertIn(word, error, said)
        return error

    def staged(self, **settings: str) -> None:
        if isinstance(self.server, GivenServer):
            self.skipTest("looks into the log of a server of our own")
        before = count(self.server, WRITTEN)
        pipeline = self.pipeline(**settings)
        pipeline.ends_well(pipeline.run())
        pipeline.check()
        self.assertGreater(count(self.server, WRITTEN), before, "nothing was staged")


class TheWholeWay(WithSpark):
    def test_parquet_spark_kafka_table_archive_and_spark_reads_it_back(self):
        folder = Path(tempfile.mkdtemp(prefix="millstream-spark-kafka-"))
        self.addCleanup(shutil.rmtree, folder)
        cluster = self.enterContext(Cluster(folder / "kafka"))
        pipeline = Pipeline(
            self, cluster.bootstrap, [*FILES, "2018-12", *SMALL], {"clean.spark.connect": f'"{self.server.address}"'}
        )
        pipeline.ends_well(pipeline.run())
        pipeline.check()
        self.assertEqual(left_behind(pipeline.folder / DATA_DIR), [])
        self.assertEqual(self.as_spark_reads(pipeline), self.as_expected(pipeline))

    def as_spark_reads(self, pipeline: Pipeline) -> list:
        """Sums over the files that the Delta log names, by Spark."""
        table = pipeline.archive / "rows"
        files = [table / path for path in replay(table).adds]
        [row] = self.server.query(f"SELECT {self.sums()} FROM {parquet_files(files)}").to_pylist()
        return list(row.values())

    def as_expected(self, pipeline: Pipeline) -> list:
        """The same sums over what the second computation expects, by DuckDB."""
        with duckdb.connect() as database:
            database.register("delivered", pipeline.outcomes.delivered)
            return list(database.execute(f"SELECT {self.sums()} FROM delivered").fetchone())

    @staticmethod
    def sums() -> str:
        return ", ".join(f"{text} AS s{number}" for number, text in enumerate(SUMS))

    def test_staged_rows_are_the_same_and_nothing_is_left(self):
        self.staged(clean__spark__mode='"staged"')


class Faults(WithSpark):
    """What can be wrong is told in words that name the thing and the way out; nothing is lost and nothing is twice."""

    def test_a_path_that_the_cluster_does_not_see_is_told_at_once(self):
        pipeline = self.pipeline(*SMALL)
        pipeline.settings["clean.spark.path_on_cluster"] = f'{{ "{pipeline.folder}/data" = "/not/there" }}'
        pipeline.write()
        began = time.monotonic()
        self.refused(pipeline, pipeline.run(), "/not/there/yellow_tripdata", "[clean.spark.path_on_cluster]")
        self.assertLess(time.monotonic() - began, SECONDS / 2)

    def test_a_rule_that_fails_names_rule_and_row_as_datafusion_does(self):
        rule = '{ column = "fare_amount", check = { range = { min = 0, max = 500 } }, action = "fail" }'
        pipeline = self.pipeline(clean__rules__fare=rule)
        by_spark = self.refused(pipeline, pipeline.run(), "fare", "row")
        del pipeline.settings["clean.spark.connect"]
        shutil.rmtree(pipeline.folder / DATA_DIR)
        pipeline.write()
        self.assertEqual(by_spark, self.refused(pipeline, pipeline.run(), "fare", "row"))

    def test_a_server_that_is_too_old_is_refused_and_one_that_was_not_tried_is_told(self):
        with OfVersion("3.5.6") as old:
            pipeline = self.pipeline(*SMALL, clean__spark__connect=f'"{old.address}"')
            self.refused(pipeline, pipeline.run(), "version 3.5.6", "4.0 or later")
        with OfVersion("4.9.0") as other:
            pipeline = self.pipeline(*SMALL, clean__spark__connect=f'"{other.address}"')
            run = pipeline.run()
            self.until_said(pipeline, run, "this version of Spark was not tried")
            # It is taken at its word, and knows no settings.
            self.refused(pipeline, run, "a server of Spark Connect, 4.0 or later?")

    def test_ctrl_c_while_a_query_runs_interrupts_it_and_ends_well(self):
        if isinstance(self.server, GivenServer):
            self.skipTest("looks into the log of a server of our own")
        pipeline = self.pipeline()
        with Busy(self.server):
            asked = count(self.server, JOB)
            run = self.started(pipeline)
            wait_until(lambda: count(self.server, JOB) > asked, SECONDS, f"a query waits for a core:\n{pipeline.told(run)}")
            cancelled, began = count(self.server, CANCELLED), time.monotonic()
            run.process.send_signal(signal.SIGINT)
            self.assertEqual(pipeline.ended(run, SOON_SECONDS), 0, pipeline.told(run))
            print(f"ended {time.monotonic() - began:.1f} s after Ctrl-C", flush=True)
            wait_until(lambda: count(self.server, CANCELLED) > cancelled, SOON_SECONDS, "the server was told to cancel")
        pipeline.ends_well(pipeline.run())
        pipeline.check()


class ServersThatAreAway(WithSpark):
    """A server of their own, which is killed, and wants a token."""

    TOKEN = "tell-nobody-1234"
    WRONG = "not-the-token-5678"
    server: Server

    @classmethod
    def setUpClass(cls):
        folder = Path(tempfile.mkdtemp(prefix="millstream-spark-away-"))
        cls.addClassCleanup(shutil.rmtree, folder)
        cls.server = cls.enterClassContext(Server(folder / "server", token=cls.TOKEN))

    def away(self) -> None:
        """The server is gone until the end of the test, or until it is restarted."""
        self.server.kill()
        self.addCleanup(self.server.restart)

    def says_no_token(self, pipeline: Pipeline) -> None:
        for path in [*pipeline.folder.glob("*.txt"), *pipeline.folder.glob(f"{DATA_DIR}/*.json")]:
            for token in (self.TOKEN, self.WRONG):
                self.assertNotIn(token, path.read_text(errors="replace"), path)

    def test_a_wrong_token_is_told_and_not_shown(self):
        pipeline = self.pipeline(*SMALL)
        pipeline.settings["clean.spark.connect"] = pipeline.settings["clean.spark.connect"].replace(self.TOKEN, self.WRONG)
        pipeline.write()
        self.refused(pipeline, pipeline.run(), "refuses the login", f"127.0.0.1:{self.server.port}")
        self.says_no_token(pipeline)

    def test_a_server_that_is_away_is_waited_for_until_patience_is_over(self):
        self.away()
        impatient = self.pipeline(*SMALL, clean__spark__patience='"2s"')
        self.refused(impatient, impatient.run(), "clean.spark.patience", f"127.0.0.1:{self.server.port}", "does not answer")
        self.says_no_token(impatient)
        patient = self.pipeline(*SMALL)
        run = self.started(patient)
        self.until_said(patient, run, "does not answer")
        self.server.restart()
        patient.ends_well(run)
        patient.check()
        self.says_no_token(patient)

    def test_a_server_that_is_restarted_midway_is_asked_again(self):
        pipeline = self.pipeline()
        run = self.started(pipeline)
        self.until_said(pipeline, run, "connected to Spark")
        # The query of a server that is not warm takes longer.
        time.sleep(0.3)
        self.away()
        self.until_said(pipeline, run, TROUBLE)
        self.server.restart()
        pipeline.ends_well(run)
        pipeline.check()


class MoreWays(WithSpark):
    """By `make torture` only."""

    def test_files_over_the_direct_size_are_staged(self):
        self.staged(clean__spark__direct_bytes='"1MiB"')

    def test_queries_of_a_killed_program_are_ended_by_the_next_start(self):
        if isinstance(self.server, GivenServer):
            self.skipTest("looks into the log of a server of our own")
        pipeline = self.pipeline(clean__spark__mode='"staged"')
        with Busy(self.server):
            asked = count(self.server, JOB)
            run = self.started(pipeline)
            wait_until(lambda: count(self.server, JOB) > asked, SECONDS, f"a query waits for a core:\n{pipeline.told(run)}")
            cancelled = count(self.server, CANCELLED)
            run.kill()
            run = pipeline.run()
            self.until_said(pipeline, run, "ended the sessions that an earlier run had left")
            wait_until(lambda: count(self.server, CANCELLED) > cancelled, SOON_SECONDS, "the server was told to cancel")
        pipeline.ends_well(run)
        pipeline.check()
        self.assertFalse((pipeline.folder / DATA_DIR / "spark-sessions").exists())

    def test_executors_that_lack_memory_are_told_and_nothing_is_lost(self):
        folder = Path(tempfile.mkdtemp(prefix="millstream-spark-memory-"))
        self.addCleanup(shutil.rmtree, folder)
        settings = {"spark.executor.memory": "512m", "spark.task.maxFailures": "1"}
        server = self.enterContext(Server(folder / "server", settings, cluster=True))
        limits = {"clean__spark__direct_bytes": '"1GiB"', "limits__file_expansion": "100000"}
        pipeline = self.pipeline(*SMALL, clean__spark__connect=f'"{server.address}"', **limits)
        big = pipeline.folder / "data" / "z.parquet"
        pq.write_table(wide(pq.read_table(pipeline.files[0])), big, compression="zstd", use_dictionary=False, write_statistics=False)
        run = pipeline.run()
        self.refused(pipeline, run, "z.parquet", "too little memory", "spark.executor.memory", "OutOfMemoryError")
        # First through the connection, then not.
        self.assertIn("staging it", run.log.read_text())
        big.unlink()
        # It is quarantined as gone, and the rest is there.
        pipeline.ends_well(pipeline.run())
        pipeline.check()


def wide(table: pa.Table) -> pa.Table:
    """Some of its rows, with texts of 48 MiB: small when compressed."""
    rows = table.slice(0, 20)
    texts = pa.array([chr(97 + row % 26) * (48 << 20) for row in range(len(rows))])
    return rows.set_column(rows.schema.get_field_index("store_and_fwd_flag"), "store_and_fwd_flag", texts)


class Busy:
    """Both cores of a server have something else to do, for a while."""

    QUERY = "SELECT sum(crc32(cast(id AS string))) FROM range(0, 400000000, 1, 2)"

    def __init__(self, server: Server):
        self.server = server

    def __enter__(self) -> None:
        before = count(self.server, JOB)
        self.thread = threading.Thread(target=self.server.query, args=(self.QUERY,))
        self.thread.start()
        wait_until(lambda: count(self.server, JOB) > before, SECONDS, "the other query runs")

    def __exit__(self, *_: object) -> None:
        self.thread.join()


def count(server: Server, text: str) -> int:
    """How often a server's log has it."""
    return server.log().read_text(errors="replace").count(text)


if __name__ == "__main__":
    unittest.main()
