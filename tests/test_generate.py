"""The generator of the benchmark's source makes real rows of which no two are equal."""

import sys
import tempfile
import unittest
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from expected import KEY
from program import ROOT

sys.path.insert(0, str(ROOT / "benches"))
from generate import generate  # noqa: E402


class GeneratedSource(unittest.TestCase):
    def test_it_has_the_wanted_rows_files_and_row_groups_and_no_key_twice(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            generate(folder, rows=230_000, file_rows=100_000, row_group_rows=30_000)
            files = sorted(folder.glob("*.parquet"))
            counts = [pq.read_metadata(path).num_rows for path in files]
            first = pq.read_metadata(files[0])
            rows = pa.concat_tables([pq.read_table(path) for path in files])
        self.assertEqual(counts, [100_000, 100_000, 30_000])
        self.assertEqual([first.row_group(number).num_rows for number in range(4)], [30_000, 30_000, 30_000, 10_000])
        self.assertEqual(first.row_group(0).column(0).compression, "ZSTD")
        self.assertEqual(rows.num_columns, 18)
        self.assertEqual(rows.group_by(KEY).aggregate([]).num_rows, 230_000)


if __name__ == "__main__":
    unittest.main()
