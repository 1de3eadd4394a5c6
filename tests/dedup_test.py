"""Dedup over many more keys than memory holds, with repeats within files and over files, and kills in the middle.

What must be delivered is computed a second time: by DuckDB for the whole source, row by row for a window. (The development build
goes to disk with some hundred keys.)
"""

import json
import random
import shutil
import tempfile
import unittest
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from program import DATA_DIR, start, tail, was_killed
from reader import read_table

FILES = 5
FILE_ROWS = 16_000
KEYS = 45_000
SECONDS = 180
PIPELINE = """\
[pipeline]
name = "dedup"

[source]
path = "data/*.parquet"
event_time = "at"
parallel_splits = 2

[clean.dedup]
key = ["id"]
within = "{within}"

[stream]
flush_interval = "5ms"
batch_rows = 1000

[limits]
memory = "64MiB"

[server]
http = "127.0.0.1:0"
"""


class Dedup(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="millstream-dedup-"))
        (self.folder / "data").mkdir()
        seed = random.SystemRandom().randrange(2**32)
        self.rng = random.Random(seed)
        self.told = f"seed {seed}, kept: {self.folder}"
        self.rows: list[tuple[str, int, str, int]] = []
        for number in range(FILES):
            name = f"data/part-{number}.parquet"
            ids = [f"key-{self.rng.randrange(KEYS)}" for _ in range(FILE_ROWS)]
            first = number * FILE_ROWS
            # Mostly in order, some late.
            times = [1_000 * max(0, first + row - self.rng.choice([0, 0, 0, 50, 9_000, 40_000])) for row in range(FILE_ROWS)]
            table = pa.table({"id": ids, "at": pa.array(times, pa.timestamp("us", "UTC"))})
            pq.write_table(table, self.folder / name, row_group_size=4_000)
            self.rows += [(name, row, key, time) for row, (key, time) in enumerate(zip(ids, times))]

    def _survives(self, within: str) -> set[tuple[str, int]]:
        """Runs, is killed again and again, and ends; the rows that came out."""
        (self.folder / "pipeline.toml").write_text(PIPELINE.format(within=within))
        kills = 0
        for name in ["dedup.spilled", "append.after", "dedup.restored", "dedup.spilled", "append.before"]:
            hit = 1 if name == "dedup.restored" else self.rng.randint(2, 14)
            run = start(self.folder, "run", "pipeline.toml", "--until-done", environment={"MILLSTREAM_FAILPOINT": f"{name}:{hit}"})
            code = run.wait(SECONDS)
            kills += was_killed(code)
            self.assertTrue(was_killed(code) or code == 0, f"{code}: {tail(run.log)}; {self.told}")
        self.assertGreaterEqual(kills, 3, self.told)
        run = start(self.folder, "run", "pipeline.toml", "--until-done", "--json")
        self.assertEqual(run.wait(SECONDS), 0, f"{tail(run.log)}; {self.told}")
        verified = start(self.folder, "verify", "pipeline.toml", "--json", name="verify")
        self.assertEqual(verified.wait(SECONDS), 0, f"{(self.folder / 'verify-stdout.txt').read_text()}; {self.told}")
        report = json.loads((self.folder / "verify-stdout.txt").read_text())
        table = read_table(self.folder / DATA_DIR / "archive" / "rows").rows
        self.assertEqual(report["deduplicated"], len(self.rows) - table.num_rows, self.told)
        self.assertEqual({path.name for path in (self.folder / DATA_DIR).iterdir() if path.is_file()} - {"FORMAT", "lock"}, set())
        return set(zip(table["_file"].to_pylist(), table["_row"].to_pylist()))

    def _check(self, came: set[tuple[str, int]], expected: set[tuple[str, int]]) -> None:
        self.assertEqual(sorted(came - expected)[:5], [], f"{len(came - expected)} repeats came out; {self.told}")
        self.assertEqual(sorted(expected - came)[:5], [], f"{len(expected - came)} rows are lost; {self.told}")
        shutil.rmtree(self.folder)

    def test_the_first_row_of_each_key_of_the_whole_source_is_delivered(self):
        came = self._survives("source")
        with duckdb.connect() as database:
            rows = database.execute(
                "SELECT filename, file_row_number FROM read_parquet($1, filename = true, file_row_number = true) "
                "QUALIFY row_number() OVER (PARTITION BY id ORDER BY filename, file_row_number) = 1",
                [str(self.folder / "data" / "*.parquet")],
            ).fetchall()
        self._check(came, {(f"data/{Path(name).name}", row) for name, row in rows})

    def test_a_window_forgets_what_lies_behind_it(self):
        came = self._survives("30s")
        length, high, claimed, expected = 30_000_000, -1, {}, set()
        for name, row, key, time in self.rows:
            high = max(high, time)
            if claimed.get(key, -1) >= high - length and key in claimed:
                continue
            expected.add((name, row))
            if time >= high - length:
                claimed[key] = time
        self._check(came, expected)


if __name__ == "__main__":
    unittest.main()
