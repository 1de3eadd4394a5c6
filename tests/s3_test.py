"""Source and archive in a bucket of an S3 server, half of whose calls fail; and what can be wrong with a bucket is told."""

import base64
import os
import random
import shutil
import subprocess
import tempfile
import unittest
import uuid
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from compare import differences
from expected import compute
from program import EXAMPLE, adapt, binary, get_json, address, query, start, tail, wait_until
from reader import Archive, read_archive
from s3 import Store, settings, use, without_bucket

FILES = ["2019-01", "2019-01.redelivery7500", "2021.sample1000"]
END_SECONDS = 120


class Buckets(unittest.TestCase):
    store: Store

    @classmethod
    def setUpClass(cls) -> None:
        cls.base = Path(tempfile.mkdtemp(prefix="millstream-s3-"))
        cls.store = Store(cls.base / "s3")
        use(cls.store)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.store.__exit__()
        shutil.rmtree(cls.base)

    def setUp(self) -> None:
        self.store.fails = 0.0
        self.bucket = f"lake-{uuid.uuid4().hex[:8]}"
        self.store.bucket(self.bucket)
        self.folder = self.base / self.bucket
        self.folder.mkdir()
        self.files = [EXAMPLE / "data" / f"yellow_tripdata_{name}.parquet" for name in FILES]
        self.write()

    def write(self, **changes: str) -> None:
        chosen = {
            "source.watch": "false", "source.pace": '"max"', "archive.commit_interval": '"300ms"', "stream.batch_rows": "500",
            "server.http": '"127.0.0.1:0"',
        } | settings(self.bucket) | {key.replace("__", "."): value for key, value in changes.items()}
        (self.folder / "pipeline.toml").write_text(adapt((EXAMPLE / "pipeline.toml").read_text(), chosen))

    def put(self, *files: Path) -> None:
        for path in files:
            self.store.put(self.bucket, f"data/{path.name}", path)

    def check(self) -> None:
        archive = read_archive(self.store.fetch(self.bucket, "archive", self.folder / uuid.uuid4().hex))
        rows, rejects = (table and replace(table, rows=without_bucket(table.rows, self.bucket)) for table in (archive.rows, archive.rejects))
        self.assertEqual(differences(Archive(rows, rejects), compute(self.files, EXAMPLE), partition_by_month=True), [])

    def call(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess:
        return subprocess.run(
            [binary(), *arguments], cwd=self.folder, capture_output=True, text=True, timeout=END_SECONDS,
            env={**os.environ, **(environment or {})},
        )

    def test_every_row_once_although_half_of_the_calls_fail(self) -> None:
        self.put(*self.files)
        self.store.calls = self.store.failed = 0
        self.store.fails = 0.5
        run = start(self.folder, "run", "pipeline.toml", "--until-done", "--json")
        self.assertEqual(run.wait(END_SECONDS), 0, tail(run.log))
        self.assertGreater(self.store.failed, self.store.calls * 0.3)
        self.check()
        self.store.fails = 0.0
        verified = self.call("verify", "pipeline.toml")
        self.assertEqual(verified.returncode, 0, verified.stderr)

    def test_a_watched_bucket_gives_files_that_come_and_the_archive_is_read_by_sql(self) -> None:
        self.write(source__watch="true")
        self.put(self.files[0])
        run = start(self.folder, "run", "pipeline.toml")
        try:
            url = address(self.folder, run)
            for path in self.files[1:]:
                self.put(path)
            done = lambda: get_json(url, "/api/ledger")
            wait_until(lambda: len(done()["files"]) == 3 and done()["total"]["in_flight"] == 0, 60, "all files are published")
            delivered = done()["total"]["delivered"]
            self.assertEqual(query(url, "SELECT count(*) FROM events"), [[delivered]])
            wait_until(lambda: query(url, "SELECT count(*) FROM archive") == [[delivered]], 60, "all rows are archived")
        finally:
            run.process.terminate()
            run.wait(60)
        self.check()
        # Without a running pipeline, too.
        self.assertIn(str(delivered), self.call("sql", "pipeline.toml", "SELECT count(*) FROM archive").stdout)

    def test_reset_removes_the_archive_of_the_bucket_and_no_other_key(self) -> None:
        self.put(self.files[2])
        self.assertEqual(self.call("run", "pipeline.toml", "--until-done").returncode, 0)
        self.assertTrue(self.store.keys(self.bucket, "archive/rows/_delta_log/"))
        self.put(self.files[1])
        self.assertEqual(self.call("reset", "pipeline.toml", "--archive", "--yes").returncode, 0)
        self.assertEqual(len(self.store.keys(self.bucket)), 2)
        self.assertEqual(self.store.keys(self.bucket, "archive"), [])

    def put_long_rows(self, files: int, rows: int, settings: str = "") -> None:
        """Rows that nothing packs, a kilobyte each, and a pipeline over them whose archive is written as late as it may."""
        for number in range(files):
            texts = [base64.b64encode(random.randbytes(768)).decode() for _ in range(rows)]
            path = self.folder / f"{number}.parquet"
            pq.write_table(pa.table({"n": range(number * rows, (number + 1) * rows), "text": texts}), path)
            self.store.put(self.bucket, f"data/{path.name}", path)
        (self.folder / "pipeline.toml").write_text(
            f'[pipeline]\nname = "long"\n[source]\npath = "s3://{self.bucket}/data/*.parquet"\n[archive]\npath = "s3://{self.bucket}/archive"\n'
            f'commit_interval = "1m"\n[server]\nhttp = "127.0.0.1:0"\n{settings}'
        )

    def numbers(self) -> list[int]:
        """What the archive holds, read by others."""
        archive = read_archive(self.store.fetch(self.bucket, "archive", self.folder / uuid.uuid4().hex))
        return sorted(archive.rows.rows["n"].to_pylist())

    def test_the_end_of_an_upload_whose_answer_is_lost_is_no_failure(self) -> None:
        self.put_long_rows(files=1, rows=40_000)
        self.store.lost_ends = 1
        run = start(self.folder, "run", "pipeline.toml", "--until-done")
        self.assertEqual(run.wait(END_SECONDS), 0, tail(run.log))
        self.assertEqual(self.store.lost_ends, 0, "nothing was uploaded in parts")
        self.assertEqual(self.numbers(), list(range(40_000)))

    def test_a_slow_archive_slows_the_receiver_and_rows_wait_in_the_log(self) -> None:
        files, rows = 6, 10_000
        self.put_long_rows(files, rows, '[limits]\nmemory = "64MiB"\n')
        self.store.slow = "/archive/rows/"
        self.addCleanup(self.store.go_on.set)
        run = start(self.folder, "run", "pipeline.toml", "--until-done")
        try:
            url = address(self.folder, run)
            ledger = lambda: get_json(url, "/api/ledger")
            is_published = lambda: [file["state"] for file in ledger()["files"]] == ["published"] * files
            wait_until(is_published, END_SECONDS, "all is in the log")
            status = get_json(url, "/api/status")
            table = status["table"]
            self.assertLessEqual(table["bytes"], table["limit_bytes"])
            self.assertGreater(table["rows"], 0)
            self.assertLess(table["rows"], files * rows, "nothing waits in the log")
            self.assertEqual(status["archive"]["rows"], 0)
        finally:
            self.store.go_on.set()
            self.store.slow = ""
        self.assertEqual(run.wait(END_SECONDS), 0, tail(run.log))
        self.assertEqual(self.numbers(), list(range(files * rows)))

    def test_what_is_wrong_is_told(self) -> None:
        self.write(source__path='"s3://no-such-bucket-here/*.parquet"')
        told = self.call("run", "pipeline.toml", "--until-done")
        self.assertNotEqual(told.returncode, 0)
        self.assertIn("no-such-bucket-here", told.stderr)
        self.write()
        told = self.call("run", "pipeline.toml", "--until-done")
        self.assertEqual(told.returncode, 2, told.stderr)
        self.assertIn("nothing matches", told.stderr)


if __name__ == "__main__":
    unittest.main()
