"""The archive looks after itself: small files are put together, the log is cleaned, old files and old rows go, and nobody notices.

What is in the archive is read by the independent reader, which replays the log itself.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from compare import differences
from expected import compute
from program import DATA_DIR, EXAMPLE, adapt, address, binary, get_json, query, start, tail, wait_until
from queries_test import Client
from reader import read_archive
from reader.delta import read_table

FILES = ["2019-01", "2019-01.redelivery7500", "2020-11"]
MANY_SMALL_FILES = {
    "source.pace": '"2000 rows/s"',
    "source.watch": "false",
    "archive.commit_interval": '"20ms"',
    "server.http": '"127.0.0.1:0"',
}
FEW = 3
"""Files that there are more of, however slow the machine is."""
SHORT_HISTORY = {"archive.history": '"2s"', "limits.query_timeout": '"1s"', "archive.checkpoint_versions": "4"}


class Case(unittest.TestCase):
    """A folder with files of the example; a test that fails leaves it in the temporary folder."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="millstream-upkeep-"))
        (self.folder / "data").mkdir()
        self.archive = self.folder / DATA_DIR / "archive"
        self.runs = []
        self.addCleanup(lambda: [run.kill() for run in self.runs if run.process.poll() is None])

    def done(self) -> None:
        """All was well: nothing is kept."""
        shutil.rmtree(self.folder)

    def put(self, names: list[str]) -> list[Path]:
        """Copies files of the example to the source; returns them."""
        files = [EXAMPLE / "data" / f"yellow_tripdata_{name}.parquet" for name in names]
        for path in files:
            shutil.copy(path, self.folder / "data")
        return files

    def write(self, settings: dict[str, str]) -> None:
        (self.folder / "pipeline.toml").write_text(adapt((EXAMPLE / "pipeline.toml").read_text(), settings))

    def run_to_the_end(self) -> dict:
        """Runs until all is archived; returns the summary."""
        (self.folder / "stdout.txt").unlink(missing_ok=True)
        run = start(self.folder, "run", "pipeline.toml", "--until-done", "--json")
        self.runs.append(run)
        self.assertEqual(run.wait(120), 0, tail(run.log))
        return json.loads((self.folder / "stdout.txt").read_text())

    def told(self, *arguments: str) -> dict:
        """What a command prints as JSON."""
        command = [binary(), *arguments, "--json"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def plant(self, name: str, hours_old: float) -> Path:
        """A file that no version has, as a writer that was killed leaves it."""
        path = self.archive / "rows" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not committed")
        then = time.time() - hours_old * 3600
        os.utime(path, (then, then))
        return path


class ByItself(Case):
    def test_files_are_put_together_while_queries_run_and_the_log_is_cleaned(self):
        files = self.put(FILES)
        self.write(MANY_SMALL_FILES | SHORT_HISTORY | {"source.watch": "true", "source.pace": '"1500 rows/s"'})
        orphan, staged = self.plant("left.parquet", hours_old=30), self.plant("new.parquet", hours_old=1)
        run = start(self.folder, "run", "pipeline.toml")
        self.runs.append(run)
        url = address(self.folder, run)
        outcomes = compute(files, EXAMPLE)
        stop = threading.Event()
        clients = [Client(url, stop) for _ in range(2)]
        for client in clients:
            client.start()
        try:
            wait_until(lambda: self._is_kept(url, outcomes.delivered.num_rows), 90, "all rows archived and the archive kept", 0.2)
            # Those that were replaced last are still there for the history.
            wait_until(lambda: not orphan.exists(), 20, "the file of a writer that is gone is removed")
            status = get_json(url, "/api/status")["archive"]
        finally:
            stop.set()
            for client in clients:
                client.join()
        self.assertEqual([text for client in clients for text in client.wrong], [])
        self.assertTrue(staged.exists(), "a file that may still be committed was removed")
        self.assertGreater(status["version"], 12, "too few commits to show anything")
        upkeep = status["upkeep"]
        self.assertGreater(upkeep["compacted_files"], 2 * upkeep["compacted_into"], upkeep)
        self.assertEqual(query(url, "SELECT count(*) FROM archive")[0], [outcomes.delivered.num_rows])
        run.process.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(60), 0, tail(run.log))
        first = min(path.name for path in (self.archive / "rows" / "_delta_log").glob("0*.json"))
        self.assertGreater(int(first[:20]), 0, "the log was not cleaned")
        archive = read_archive(self.archive)
        self.assertEqual(differences(archive, outcomes, by_month(self.folder)), [])
        # What the ledger and the next start need stands in commits that are gone.
        counters = [version for app, version in archive.rows.txns.items() if app.endswith("/rows")]
        self.assertEqual(counters, [outcomes.delivered.num_rows])
        self.write(MANY_SMALL_FILES | SHORT_HISTORY)
        ledger = self.run_to_the_end()["ledger"]
        self.assertTrue(ledger["balanced"], ledger["problems"])
        self.assertEqual(ledger["total"]["delivered"], outcomes.delivered.num_rows)
        self.assertEqual(differences(read_archive(self.archive), outcomes, by_month(self.folder)), [])
        self.assertTrue(self.told("verify", "pipeline.toml")["ok"])
        print(f"{sum(len(client.answers) for client in clients)} queries, {status['version']} versions, {status['upkeep']}")
        self.done()

    def test_a_file_that_cannot_be_read_keeps_nothing_else_from_being_done(self):
        self.put([FILES[0], FILES[2]])
        self.write(MANY_SMALL_FILES | {"archive.compact": "false"})
        self.run_to_the_end()
        before = read_table(self.archive / "rows").files
        damaged = next(path for path in before if "2019-01" in path)
        (self.archive / "rows" / damaged).write_bytes(b"damaged" * 1000)
        by_hand = subprocess.run([binary(), "compact", "pipeline.toml"], cwd=self.folder, capture_output=True, text=True, timeout=120)
        self.assertEqual(by_hand.returncode, 1, by_hand.stderr)
        self.assertIn(Path(damaged).name, by_hand.stderr)
        log = sorted((self.archive / "rows" / "_delta_log").glob("0*.json"))[-1].read_text()
        removed = [action["remove"]["path"] for line in log.splitlines() if "remove" in (action := json.loads(line))]
        self.assertTrue(removed and all("2019-01" not in path for path in removed), removed)

        self.write(MANY_SMALL_FILES | SHORT_HISTORY | {"source.watch": "true"})
        run = start(self.folder, "run", "pipeline.toml")
        self.runs.append(run)
        url = address(self.folder, run)
        texts = lambda: [message["text"] for message in get_json(url, "/api/status")["messages"]]
        wait_until(lambda: any("cannot be kept in shape" in text and damaged.split("/")[-1] in text for text in texts()), 60, "it is told")
        orphan = self.plant("left.parquet", hours_old=30)
        wait_until(lambda: not orphan.exists(), 60, "the file of a writer that is gone is removed")
        run.process.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(60), 0, tail(run.log))
        self.done()

    @staticmethod
    def _is_kept(url: str, rows: int) -> bool:
        archive = get_json(url, "/api/status")["archive"]
        upkeep = archive["upkeep"]
        done = upkeep["compacted_files"] and upkeep["removed_files"] and upkeep["last_checkpoint_version"]
        return bool(archive["rows"] == rows and done)


class ByHand(Case):
    def test_a_dry_run_changes_nothing_and_two_at_once_do_not_harm(self):
        files = self.put(FILES[:1])
        self.write(MANY_SMALL_FILES | SHORT_HISTORY | {"archive.compact": "false"})
        self.run_to_the_end()
        outcomes = compute(files, EXAMPLE)
        before = read_archive(self.archive).rows
        self.assertGreater(len(before.files), FEW, "too few commits to show anything")
        would = self.told("compact", "pipeline.toml", "--dry-run")["tables"]["rows"]
        self.assertGreater(would["files_before"], FEW)
        self.assertEqual(read_archive(self.archive).rows.version, before.version)
        with ThreadPoolExecutor() as pool:
            both = list(pool.map(lambda _: self.told("compact", "pipeline.toml"), range(2)))
        self.assertGreaterEqual(sum(one["tables"]["rows"]["files_before"] for one in both), would["files_before"])
        archive = read_archive(self.archive)
        self.assertEqual(differences(archive, outcomes, by_month(self.folder)), [])
        self.assertLessEqual(len(archive.rows.files), len(before.files) - would["files_before"] + len(before.files) / 3)
        # A reader of the earlier version still finds its files.
        self.assertEqual(read_table(self.archive / "rows", before.version).rows.num_rows, before.rows.num_rows)
        again = self.told("compact", "pipeline.toml")["tables"]["rows"]
        self.assertEqual(again["files_before"], 0)
        self.done()

    def test_replaced_files_go_after_the_history_and_not_before(self):
        self.put(FILES[:1])
        self.write(MANY_SMALL_FILES | {"archive.compact": "false"})
        self.run_to_the_end()
        compacted = self.told("compact", "pipeline.toml")["tables"]["rows"]
        orphan = self.plant("left.parquet", hours_old=30)
        kept = self.told("vacuum", "pipeline.toml")["tables"]["rows"]
        self.assertEqual((kept["replaced_files"], kept["unknown_files"]), (0, 1))
        self.assertGreater(kept["kept_files"], FEW, "too few commits to show anything")
        self.assertEqual(kept["kept_files"], compacted["files_before"])
        self.assertFalse(orphan.exists())
        self.write(MANY_SMALL_FILES | SHORT_HISTORY | {"archive.compact": "false"})
        time.sleep(2)
        would = self.told("vacuum", "pipeline.toml", "--dry-run")["tables"]["rows"]
        self.assertEqual(would["replaced_files"], kept["kept_files"])
        gone = self.told("vacuum", "pipeline.toml")["tables"]["rows"]
        self.assertEqual(gone["replaced_files"], kept["kept_files"])
        rows = read_archive(self.archive).rows
        on_disk = {path for path in (self.archive / "rows").rglob("*.parquet") if "_delta_log" not in path.parts}
        self.assertEqual(on_disk, {self.archive / "rows" / path for path in rows.files})
        self.done()


class Retention(Case):
    def test_rows_past_it_are_deleted_and_counted(self):
        files = self.put(FILES)
        cut = datetime(2019, 1, 16, tzinfo=UTC)
        hours = int((datetime.now(UTC) - cut) / timedelta(hours=1))
        retention = {"archive.retention": f'"{hours}h"', "archive.retention_by": '"event_time"'}
        self.write(MANY_SMALL_FILES | {"archive.partition_by": '"none"'})
        self.run_to_the_end()
        outcomes = compute(files, EXAMPLE)
        self.write(MANY_SMALL_FILES | retention | {"archive.partition_by": '"none"'})
        times = outcomes.delivered["pickup_datetime"].to_pylist()
        expired = self.told("expire", "pipeline.toml")["tables"]["rows"]
        kept_from = datetime.now(UTC) - timedelta(hours=hours)
        stay = sum(1 for time_ in times if time_ is None or time_.astimezone(UTC) >= kept_from)
        rows = read_archive(self.archive).rows
        self.assertTrue(0 < rows.rows.num_rows < len(times))
        self.assertAlmostEqual(rows.rows.num_rows, stay, delta=5)
        self.assertEqual(expired["rows"], len(times) - rows.rows.num_rows)
        self.assertGreater(expired["rewritten_files"] + expired["whole_files"], 0)
        verified = self.told("verify", "pipeline.toml")
        self.assertTrue(verified["ok"], verified["problems"])
        self.assertEqual(verified["expired"], expired["rows"])
        ledger = self.run_to_the_end()["ledger"]
        self.assertTrue(ledger["balanced"], ledger["problems"])
        self.assertGreaterEqual(ledger["expired"], expired["rows"])
        self.assertEqual(ledger["total"]["delivered"], len(times))
        self.done()


class Partitions(Case):
    def test_three_years_in_one_window_are_put_where_they_belong(self):
        begin, rows = datetime(2019, 1, 1, tzinfo=UTC), 6000
        times = [None if row % 500 == 7 else begin + timedelta(hours=(row * 7919) % (3 * 365 * 24)) for row in range(rows)]
        table = pa.table({"at": pa.array(times, pa.timestamp("us", "UTC")), "n": pa.array(range(rows))})
        pq.write_table(table, self.folder / "data" / "rows.parquet")
        for by, text in [("day", "%Y-%m-%d"), ("month", "%Y-%m"), ("none", None)]:
            with self.subTest(by):
                shutil.rmtree(self.folder / DATA_DIR, ignore_errors=True)
                (self.folder / "pipeline.toml").write_text(
                    '[pipeline]\nname = "years"\n[source]\npath = "data/*.parquet"\nevent_time = "at"\n'
                    f'[archive]\npartition_by = "{by}"\ncommit_interval = "1m"\n[server]\nhttp = "127.0.0.1:0"\n'
                )
                self.run_to_the_end()
                found = read_table(self.archive / "rows").rows
                self.assertEqual(sorted(found["n"].to_pylist()), list(range(rows)))
                if text is None:
                    continue
                expected = {row: time_.strftime(text) if time_ else "unknown" for row, time_ in enumerate(times)}
                self.assertEqual(dict(zip(found["n"].to_pylist(), found["_partition"].to_pylist())), expected)
        self.done()


def by_month(folder: Path) -> bool:
    return 'partition_by = "month"' in (folder / "pipeline.toml").read_text()


if __name__ == "__main__":
    unittest.main()
