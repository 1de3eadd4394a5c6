"""What is done about what went wrong, in a browser: `dashboard/e2e/rejects.mjs` changes a rule, redrives, and has a quarantined file read again.

What a redrive left is read by the independent reader: each delivered row is in the archive once, those of the changed rule among them.
"""

import json
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

import duckdb
from browser import look
from program import DATA_DIR, EXAMPLE, adapt, address, binary, get_json, query, start, tail, wait_until
from reader.delta import read_table

SETTINGS = {"source.pace": '"max"', "stream.batch_rows": "4000", "archive.commit_interval": '"1s"', "server.http": '"127.0.0.1:0"'}
RULE = "fare"
SECONDS = 120


class RejectsInABrowser(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="millstream-rejects-"))
        self.data = self.folder / "data"
        shutil.copytree(EXAMPLE / "data", self.data)
        self.pipeline = self.folder / "pipeline.toml"
        self.pipeline.write_text(adapt((EXAMPLE / "pipeline.toml").read_text(), SETTINGS))

    def run_program(self) -> None:
        """Starts it, and waits until it has done with all files."""
        self.program = start(self.folder, "run", "pipeline.toml")
        self.addCleanup(lambda: self.program.process.poll() is None and self.program.kill())
        self.url = address(self.folder, self.program)
        wait_until(self.settled, 120, "the files to be done or quarantined")

    def settled(self) -> bool:
        files = get_json(self.url, "/api/ledger")["files"]
        count = len(list(self.data.glob("*.parquet")))
        return len(files) == count and all(file["state"] in ("done", "quarantined") for file in files)

    def look(self, *arguments: str) -> None:
        what, *others = arguments
        looked = look("rejects.mjs", what, self.url, *others, seconds=SECONDS)
        said = f"{looked.stdout}{looked.stderr}\n{tail(self.folder / 'stderr.txt')}\nkept: {self.folder}"
        self.assertEqual(looked.returncode, 0, said)
        print(looked.stdout, end="")

    def stop(self) -> None:
        self.program.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.program.wait(60), 0, f"{tail(self.folder / 'stderr.txt')}\nkept: {self.folder}")

    def test_a_rule_changed_in_its_form_is_a_line_that_the_program_takes(self):
        self.run_program()
        self.look("change", str(self.pipeline), RULE)
        self.stop()
        checked = subprocess.run(
            [binary(), "check", "pipeline.toml", "--json"], cwd=self.folder, capture_output=True, text=True, timeout=120
        )
        self.assertEqual(checked.returncode, 0, f"{checked.stderr}\nkept: {self.folder}")
        [rule] = [rule for rule in json.loads(checked.stdout)["rules"] if rule["rule"] == RULE]
        self.assertEqual((rule["action"], rule["rows"] > 0), ("clamp", True), f"{rule}\nkept: {self.folder}")
        shutil.rmtree(self.folder)

    def test_a_changed_rule_delivers_what_it_rejected(self):
        self.run_program()
        self.look("redrive", str(self.pipeline), RULE)
        wait_until(self.archived, 60, "everything to be archived")
        total = get_json(self.url, "/api/ledger")["total"]
        self.stop()
        self.compare(total)
        shutil.rmtree(self.folder)

    def test_a_quarantined_file_is_read_again_once_it_is_whole(self):
        whole, broken = self.folder / "whole.parquet", self.data / "zz-broken.parquet"
        shutil.move(sorted(self.data.glob("*2020-11*.parquet"))[0], whole)
        broken.write_bytes(whole.read_bytes()[:-500])
        self.run_program()
        self.look("retry", str(broken), str(whole))
        self.stop()
        shutil.rmtree(self.folder)

    def archived(self) -> bool:
        [[waiting]] = query(self.url, "SELECT count(*) FROM unarchived")
        return waiting == 0

    def compare(self, total: dict) -> None:
        rows = read_table(self.folder / DATA_DIR / "archive" / "rows").rows
        with duckdb.connect() as database:
            database.register("archived", rows)
            found = database.sql("SELECT count(*), count(DISTINCT (_file, _row)), count(*) FILTER (fare_amount < 0) FROM archived")
            [(count, distinct, redriven)] = found.fetchall()
        kept = f"kept: {self.folder}"
        self.assertEqual((count, distinct), (total["delivered"], total["delivered"]), kept)
        self.assertGreater(redriven, 0, f"no row of the changed rule is in the archive; {kept}")


if __name__ == "__main__":
    unittest.main()
