"""The pages Explore and SQL of the real program, in a browser: `dashboard/e2e/explore.mjs` compares every number with SQL's.

Half of the files are archived by a first life of the program. A second one commits once an hour: the rest stays in the live
table, and the border between both stands still while it is looked at.
"""

import io
import json
import shutil
import signal
import tempfile
import unittest
import urllib.request
from pathlib import Path

import duckdb
import pyarrow
import pyarrow.csv
import pyarrow.parquet
from browser import look
from program import EXAMPLE, adapt, address, start, tail, wait_until

SETTINGS = {"source.pace": '"max"', "stream.batch_rows": "4000", "server.http": '"127.0.0.1:0"'}
SECONDS = 120
ODD = """
[pipeline]
name = "odd"
[source]
path = "data/*.parquet"
watch = true
[archive]
commit_interval = "1s"
[server]
http = "127.0.0.1:0"
"""


class ExploreInABrowser(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="millstream-explore-"))
        self.data = self.folder / "data"
        self.data.mkdir()
        self.files = sorted((EXAMPLE / "data").glob("*.parquet"))

    def run_program(self, interval: str, *arguments: str):
        text = adapt((EXAMPLE / "pipeline.toml").read_text(), SETTINGS | {"archive.commit_interval": f'"{interval}"'})
        (self.folder / "pipeline.toml").write_text(text)
        program = start(self.folder, "run", "pipeline.toml", *arguments)
        self.addCleanup(lambda: program.process.poll() is None and program.kill())
        return program

    def get(self, path: str, body: dict | None = None, accept: str = "application/json") -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Accept": accept})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def test_numbers_are_those_of_sql_on_both_sides_of_the_border(self):
        half = len(self.files) // 2
        for file in self.files[:half]:
            shutil.copy(file, self.data)
        self.assertEqual(self.run_program("1s", "--until-done").wait(60), 0, tail(self.folder / "stderr.txt"))
        for file in self.files[half:]:
            shutil.copy(file, self.data)
        program = self.run_program("1h")
        self.url = address(self.folder, program)
        wait_until(self.all_received, 60, "all rows to be received")
        looked = look("explore.mjs", self.url, "--out", str(self.folder), seconds=SECONDS)
        said = f"{looked.stdout}{looked.stderr}\nkept: {self.folder}"
        self.assertEqual(looked.returncode, 0, said)
        self.compare_exports()
        program.process.send_signal(signal.SIGTERM)
        self.assertEqual(program.wait(60), 0, f"{tail(self.folder / 'stderr.txt')}\nkept: {self.folder}")
        shutil.rmtree(self.folder)

    def test_odd_names_no_event_time_and_rows_that_come(self):
        rows = range(400)
        table = pyarrow.table(
            {
                'Größe"x"': [("o'clock, \\", "b", None, "")[row % 4] for row in rows],
                "it's": pyarrow.array([row % 3 == 0 for row in rows]),
                "Total--amount": pyarrow.array(rows, pyarrow.int64()),
                "tags": [[str(row)] for row in rows],
                "name": [f"row {row}" for row in rows],
            }
        )
        for name in (self.data / "a.parquet", self.folder / "b.parquet"):
            pyarrow.parquet.write_table(table, name)
        (self.folder / "pipeline.toml").write_text(ODD)
        program = start(self.folder, "run", "pipeline.toml")
        self.addCleanup(lambda: program.process.poll() is None and program.kill())
        self.url = address(self.folder, program)
        self.files = [self.data / "a.parquet"]
        wait_until(self.all_received, 60, "all rows to be received")
        looked = look("explore-odd.mjs", self.url, str(self.folder / "b.parquet"), str(self.data), seconds=SECONDS)
        self.assertEqual(looked.returncode, 0, f"{looked.stdout}{looked.stderr}\nkept: {self.folder}")
        program.process.send_signal(signal.SIGTERM)
        self.assertEqual(program.wait(60), 0, f"{tail(self.folder / 'stderr.txt')}\nkept: {self.folder}")
        shutil.rmtree(self.folder)

    def all_received(self) -> bool | None:
        status, ledger = json.loads(self.get("/api/status")), json.loads(self.get("/api/ledger"))
        done = all(file["state"] in ("published", "done") for file in ledger["files"])
        return (done and len(ledger["files"]) == len(self.files) and status["receive"]["lag_rows"] == 0) or None

    def compare_exports(self):
        """What the page saved, read by others, is what the program answers to the same statement."""
        statement = (self.folder / "statement.sql").read_text()
        arrow = self.get("/api/sql", {"sql": statement}, "application/vnd.apache.arrow.stream")
        answer = pyarrow.ipc.open_stream(io.BytesIO(arrow)).read_all()
        self.assertEqual(pyarrow.parquet.read_table(self.folder / "rows.parquet").to_pylist(), answer.to_pylist())
        parquet, csv = (f"'{self.folder}/rows.{kind}'" for kind in ("parquet", "csv"))
        plain = "_file, _row, pickup_datetime, payment_type, fare_amount, tip_share, store_and_fwd_flag"
        types = "{'fare_amount': 'DECIMAL(10,2)', 'pickup_datetime': 'TIMESTAMPTZ', 'payment_type': 'INTEGER'}"
        with duckdb.connect() as database:
            count = database.sql(f"SELECT count(*) FROM {parquet}").fetchall()
            self.assertEqual(count, [(answer.num_rows,)])
            read = f"SELECT {plain} FROM read_csv({csv}, types={types})"
            for one, other in ((f"SELECT {plain} FROM {parquet}", read), (read, f"SELECT {plain} FROM {parquet}")):
                self.assertEqual(database.sql(f"{one} EXCEPT ALL {other}").fetchall(), [])


if __name__ == "__main__":
    unittest.main()
