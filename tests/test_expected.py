"""The second computation holds together, and what the READMEs quote is what it gives."""

import unittest
from pathlib import Path

import expected
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "nyc-taxi"


class ExpectedOfTheTaxiExample(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.files = sorted((EXAMPLE / "data").glob("*.parquet"))
        cls.outcomes = expected.compute(cls.files, EXAMPLE)
        cls.summary = expected.summary(cls.outcomes)

    def test_every_row_of_the_files_has_one_outcome(self):
        tables = [getattr(self.outcomes, name) for name in ["delivered", "rejected", "duplicate", "filtered"]]
        rows = [pair for table in tables for pair in zip(table["_file"].to_pylist(), table["_row"].to_pylist())]
        every = {
            (path.relative_to(EXAMPLE).as_posix(), row)
            for path in self.files
            for row in range(pq.read_metadata(path).num_rows)
        }
        self.assertEqual(len(rows), len(every))
        self.assertEqual(set(rows), every)

    def test_the_redelivered_file_gives_nothing(self):
        found = pc.match_substring(self.outcomes.delivered["_file"], "redelivery")
        self.assertFalse(pc.any(found).as_py())

    def test_less_dedup_delivers_the_repeats(self):
        for dedup in [expected.FILE, expected.OFF]:
            found = expected.summary(expected.compute(self.files, EXAMPLE, dedup))
            self.assertEqual(found["delivered"] + found["duplicate"], self.summary["delivered"] + self.summary["duplicate"])
            self.assertEqual(found["rejected"], self.summary["rejected"])
            self.assertLess(found["duplicate"], self.summary["duplicate"])
        self.assertEqual(found["duplicate"], 0)

    def test_the_example_readme_quotes_these_numbers(self):
        text = (EXAMPLE / "README.md").read_text()
        found = self.summary
        quoted = [
            f"| {found['rows']:,} | {found['delivered']:,} | {found['rejected']:,} | {found['duplicate']:,} "
            f"| {found['filtered']:,} |",
            f"| {found['duplicate']:,} duplicates |",
            f"| {found['filtered']:,} filtered |",
            f"cost {float(found['sums']['total_amount']):,.2f} dollars, {float(found['sums']['tip_amount']):,.2f} of it",
            f"{found['marked_rows']:,} of the rows carry marks",
            f"{found['late']:,} of the delivered rows were too late",
        ]
        quoted += [f"| `{rule}`, rejected | {rows:,} |" for rule, rows in found["rejected_by_rule"].items()]
        for line in quoted:
            self.assertIn(line, text)
        for rule, rows in found["marked_by_rule"].items():
            start = "| `fill` " if rule.startswith("fill:") else f"| `{rule}`, "
            line = next((line for line in text.splitlines() if start in line), f"no line with `{start}`")
            self.assertTrue(line.endswith(f"| {rows:,} marked |"), f"{rule} marked {rows:,} rows, but: {line}")

    @unittest.skipUnless((ROOT / "README.md").exists(), "there is no README.md")
    def test_the_project_readme_quotes_these_numbers(self):
        text = (ROOT / "README.md").read_text()
        for name in ["rows", "delivered", "rejected", "duplicate"]:
            self.assertIn(f"{self.summary[name]:,}", text, name)


if __name__ == "__main__":
    unittest.main()
