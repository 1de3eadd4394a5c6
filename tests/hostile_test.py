"""Hostile files among good ones: the process lives within its memory, good files arrive whole, bad ones are named with a reason,
and what two other readers read without an error arrives with the same values or is refused for a limit or a feature.

    PYTHONPATH=tests python tests/hostile_test.py [--seed N] [--seeds N]

Real files are taken from `../shared/data/hostile` beside the checkout, where that is.
"""

import argparse
import datetime
import decimal
import json
import math
import os
import pickle
import random
import re
import resource
import shutil
import signal
import tempfile
import threading
import time
import unittest
import uuid
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

import hostile_files
from program import DATA_DIR, ROOT, start, tail
from reader import read_table

REAL = ROOT.parent / "shared" / "data" / "hostile"
SECONDS = 240
MEMORY = 1 << 30
READER_MEMORY = 3 << 30
READER_SECONDS = 20
READERS = 4
DRIFT = re.compile(r"clean\.drift|cannot become|differs from")
"""Reasons that lie in the files that were read before, not in the file."""
NAMED = re.compile(r"`limits\.|type \w+|LogicalType|encrypted|has no name|would both become|does not take|tables use themselves|utf8")
"""Reasons that name a limit or a feature, or a text that is no UTF-8."""
HARMLESS = ["lie-length", "lie-page"]
"""What they lie about is not needed to read them."""
UNREAD = {"data__nation.dict-malformed": "Arrow: Parquet argument error: EOF: Invalid page header"}
"""What the Parquet library alone cannot read: a column chunk whose size leaves out its dictionary."""
OPTIONS = argparse.Namespace(seed=random.SystemRandom().randrange(1_000_000), seeds=1)

PIPELINE = """[pipeline]
name = "hostile"
data_dir = "./millstream-data"
[source]
path = "data/*"
settle = "100ms"
[clean.drift]
changed = "quarantine"
[archive]
commit_interval = "1s"
[server]
http = "127.0.0.1:0"
"""


class Watch(threading.Thread):
    """The most memory that a process and each of its children ever held."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.pid, self.own, self.child, self.over = pid, 0, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.02):
            self.own = max(self.own, peak(self.pid))
            try:
                tasks = os.listdir(f"/proc/{self.pid}/task")
                for task in tasks:
                    for child in Path(f"/proc/{self.pid}/task/{task}/children").read_text().split():
                        self.child = max(self.child, peak(int(child)))
            except OSError:
                continue


def peak(pid: int) -> int:
    try:
        match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(match[1]) * 1024 if match else 0


class Ended:
    """A run over a folder of files, and what it left."""

    def __init__(self, files: dict[str, bytes], test: unittest.TestCase):
        self.folder = Path(tempfile.mkdtemp(prefix="millstream-hostile-"))
        (self.folder / "data").mkdir()
        (self.folder / "pipeline.toml").write_text(PIPELINE)
        for name, content in files.items():
            (self.folder / "data" / f"{name}.parquet").write_bytes(content)
        began = time.monotonic()
        run = start(self.folder, "run", "pipeline.toml", "--until-done", "--json")
        watch = Watch(run.process.pid)
        watch.start()
        code = run.wait(SECONDS)
        watch.over.set()
        if code is None:
            run.kill()
        self.log = run.log.read_text()
        test.assertEqual(code, 0, f"kept: {self.folder}\n{tail(run.log)}")
        self.ledger = json.loads((self.folder / "stdout.txt").read_text())["ledger"]
        self.files = {Path(file["file"]).stem: file for file in self.ledger["files"]}
        archived = self.folder / DATA_DIR / "archive" / "rows"
        self.archived = read_table(archived).rows if archived.exists() else pa.table({"_file": [], "_row": []})
        self.own, self.child = watch.own, watch.child
        print(f"{len(files)} files, {time.monotonic() - began:.1f} s, {self.own >> 20} MiB, reader {self.child >> 20} MiB", flush=True)

    def quarantined(self) -> dict[str, str]:
        return {name: file["reason"] for name, file in self.files.items() if file["state"] == "quarantined"}

    def rows(self, name: str, columns: list[str]) -> dict[int, dict]:
        """What arrived of a file: number of a row to its columns."""
        is_its = pa.compute.equal(self.archived["_file"], f"data/{name}.parquet")
        there = [column for column in columns if column in self.archived.column_names]
        return {row["_row"]: row for row in self.archived.select(["_row", *there]).filter(is_its).to_pylist()}


def plain(value):
    """A value as the tables have it, by the table of types in the documentation."""
    if isinstance(value, datetime.time):
        return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None) if value.tzinfo is None else value.astimezone(datetime.UTC).replace(tzinfo=None)
    if isinstance(value, uuid.UUID):
        return value.bytes
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else value
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def coarse(of: pa.DataType) -> pa.DataType:
    """Times to microseconds: Python has no finer ones."""
    if pa.types.is_timestamp(of):
        return pa.timestamp("us", of.tz)
    if pa.types.is_time(of):
        return pa.time64("us")
    return of


def read(path: Path) -> list[dict] | None:
    """The rows as pyarrow reads them, if DuckDB reads as many; none if one of them fails."""
    table = pq.ParquetFile(path, coerce_int96_timestamp_unit="us", page_checksum_verification=False).read()
    table.validate(full=True)
    for number, field in enumerate(table.schema):
        if coarse(field.type) != field.type:
            table = table.set_column(number, field.name, table[number].cast(coarse(field.type), safe=False))
    with duckdb.connect(config={"threads": 1}) as database:
        columns = ", ".join(f'"{name}"' for name in table.column_names) or "1"
        cursor = database.execute(f"SELECT {columns} FROM read_parquet(?)", [str(path)])
        while cursor.fetchmany(1000):
            pass
        (rows,) = database.execute("SELECT count(*) FROM read_parquet(?)", [str(path)]).fetchone()
    if rows != table.num_rows:
        return None
    names, columns = table.column_names, [column.to_pylist() for column in table.columns]
    return [{name: plain(column[row]) for name, column in zip(names, columns)} for row in range(table.num_rows)]


def read_apart(paths: list[Path]) -> dict[Path, list[dict] | None]:
    """`read` of each in a process of its own: these readers die of such files, too."""
    answers, running, left = {}, {}, list(paths)
    with tempfile.TemporaryDirectory(prefix="millstream-read-") as folder:
        while left or running:
            while left and len(running) < READERS:
                path = left.pop()
                answer = Path(folder) / str(len(left))
                running[fork(path, answer)] = (path, answer)
            pid, status = os.wait()
            if pid in running:
                path, answer = running.pop(pid)
                answers[path] = pickle.loads(answer.read_bytes()) if status == 0 else None
    return answers


def fork(path: Path, answer: Path) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_AS, (READER_MEMORY, READER_MEMORY))
            signal.alarm(READER_SECONDS)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            answer.write_bytes(pickle.dumps(read(path)))
            code = 0
        finally:
            os._exit(code)
    return pid


class Hostile(unittest.TestCase):
    def setUp(self):
        self.ended: list[Ended] = []

    def tearDown(self):
        outcome = self._outcome.result
        failed = [test for test, _ in outcome.failures + outcome.errors if getattr(test, "test_case", test) is self]
        for ended in self.ended:
            if failed:
                print(f"kept: {ended.folder}")
            else:
                shutil.rmtree(ended.folder)

    def run_over(self, files: dict[str, bytes]) -> Ended:
        ended = Ended(files, self)
        self.ended.append(ended)
        self.assertTrue(ended.ledger["balanced"], ended.ledger["problems"])
        self.assertLess(ended.own + ended.child, MEMORY)
        self.assertNotIn("panicked at", ended.log)
        for name, reason in ended.quarantined().items():
            self.assertTrue(reason, name)
            self.assertIn(f"data/{name}.parquet", ended.log)
        return ended

    def compare(self, ended: Ended, name: str, wanted: list[dict] | None) -> None:
        """Compares what came of a file with what two other readers read, if they do."""
        reason = ended.quarantined().get(name)
        if wanted is None or (name, reason) in UNREAD.items():
            return
        if reason:
            self.assertRegex(reason, NAMED, f"{name}: two other readers read it")
            return
        counts = ended.files[name]
        self.assertEqual(counts["rows"], len(wanted), name)
        arrived = ended.rows(name, list(wanted[0]) if wanted else [])
        self.assertEqual(len(arrived), counts["delivered"], name)
        self.assertEqual(len(arrived) + counts["rejected"], len(wanted), name)
        for number, row in arrived.items():
            for column, value in wanted[number].items():
                found = plain(row.get(column))
                self.assertEqual(found, value, f"{name}: row {number}, column {column}")

    def check_all(self, files: dict[str, bytes]) -> None:
        """Runs over all of them, then over those again that others stood in the way of."""
        left = dict(files)
        while left:
            good = hostile_files.good()
            ended = self.run_over({**left, **good})
            for name, content in good.items():
                rows = ended.rows(name, ["good_id", "good_text"])
                table = pq.read_table(pa.BufferReader(content)).to_pylist()
                found = [{column: rows[number][column] for column in ["good_id", "good_text"]} for number in sorted(rows)]
                self.assertEqual(found, table, f"{name} did not arrive whole")
            refused = ended.quarantined()
            judged = [name for name in left if not DRIFT.search(refused.get(name, ""))]
            paths = {name: ended.folder / "data" / f"{name}.parquet" for name in judged}
            wanted = read_apart(list(paths.values()))
            for name in judged:
                with self.subTest(name):
                    self.compare(ended, name, wanted[paths[name]])
            self.assertTrue(judged, f"nothing of {sorted(left)} can be read on its own: {ended.quarantined()}")
            left = {name: content for name, content in left.items() if name not in judged}

    def test_generated_files(self):
        for seed in range(OPTIONS.seed, OPTIONS.seed + OPTIONS.seeds):
            with self.subTest(seed=seed):
                files = hostile_files.generated(seed)
                self.check_all(files)
                bad = [name for name in files if name.startswith(("bomb-", "lie-", "cut-")) and name not in HARMLESS]
                self.assertEqual([name for name in bad if name not in self.ended[0].quarantined()], [])

    def test_a_wide_file(self):
        ended = self.run_over({"wide": hostile_files.wide(), "good-wide": hostile_files.wide()})
        paths = {name: ended.folder / "data" / f"{name}.parquet" for name in ["wide", "good-wide"]}
        wanted = read_apart(list(paths.values()))
        for name, path in paths.items():
            self.assertIsNotNone(wanted[path])
            self.compare(ended, name, wanted[path])
            self.assertEqual(ended.files[name]["delivered"], 10)

    def test_real_files(self):
        if not REAL.is_dir():
            self.skipTest(f"no {REAL}")
        files = {path.name.removesuffix(".parquet"): path.read_bytes() for path in sorted(REAL.rglob("*")) if path.is_file()}
        self.assertGreater(len(files), 50)
        self.check_all(files)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Hostile files among good ones.")
    parser.add_argument("--seed", type=int, default=OPTIONS.seed, help="the first seed")
    parser.add_argument("--seeds", type=int, default=OPTIONS.seeds, help="how many")
    _, rest = parser.parse_known_args(namespace=OPTIONS)
    print(f"seed {OPTIONS.seed}", flush=True)
    unittest.main(argv=["hostile_test.py", *rest])
