"""The independent reader reads what the Delta protocol says, and refuses what does not add up."""

import json
import tempfile
import unittest
from datetime import datetime, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from reader import Inconsistent, read_archive, read_table
from reader.delta import count_rows

FIELDS = {"_file": "string", "_row": "long", "ingested_at": "timestamp", "fare": "double", "_partition": "string"}
ADD = pa.struct(
    {
        "path": pa.string(),
        "partitionValues": pa.map_(pa.string(), pa.string()),
        "size": pa.int64(),
        "dataChange": pa.bool_(),
        "stats": pa.string(),
    }
)


class Written:
    """A Delta table written by hand, one JSON line after the other."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.log = folder / "_delta_log"
        self.log.mkdir(parents=True)
        fields = [{"name": name, "type": kind, "nullable": True, "metadata": {}} for name, kind in FIELDS.items()]
        self.protocol = {"minReaderVersion": 1, "minWriterVersion": 2}
        self.metadata = {
            "id": "0",
            "format": {"provider": "parquet", "options": {}},
            "schemaString": json.dumps({"type": "struct", "fields": fields}),
            "partitionColumns": ["_partition"],
            "configuration": {},
        }
        self.version = -1
        self.commit({"protocol": self.protocol}, {"metaData": self.metadata})

    def commit(self, *actions: dict) -> None:
        self.version += 1
        path = self.log / f"{self.version:020}.json"
        path.write_text("".join(json.dumps(action) + "\n" for action in actions))

    def file(self, name: str, first: int, count: int, partition: str = "2019-01") -> dict:
        """Writes a data file with rows `first..first + count`; returns its add action."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        now = datetime(2026, 1, 1, tzinfo=timezone.utc)
        rows = pa.table(
            {
                "_file": ["data/a.parquet"] * count,
                "_row": pa.array(range(first, first + count), pa.int64()),
                "ingested_at": pa.array([now] * count, pa.timestamp("us", "UTC")),
                "fare": [float(row) for row in range(first, first + count)],
            }
        )
        pq.write_table(rows, path)
        return {
            "path": name.replace(" ", "%20"),
            "partitionValues": {"_partition": partition},
            "size": path.stat().st_size,
            "dataChange": True,
            "stats": json.dumps({"numRecords": count}),
        }

    def checkpoint(self, adds: list[dict], txns: dict[str, int]) -> None:
        """Writes a checkpoint of the newest version."""
        actions = [
            {"protocol": self.protocol},
            {"metaData": {name: self.metadata[name] for name in ["id", "schemaString", "partitionColumns"]}},
            *({"add": add} for add in adds),
            *({"txn": {"appId": app, "version": version}} for app, version in txns.items()),
        ]
        columns = {kind: [action.get(kind) for action in actions] for kind in ["protocol", "metaData", "txn"]}
        columns["add"] = pa.array(
            [None if add is None else {**add, "partitionValues": list(add["partitionValues"].items())} for add in
             (action.get("add") for action in actions)],
            ADD,
        )
        pq.write_table(pa.table(columns), self.log / f"{self.version:020}.checkpoint.parquet")


def txn(app: str, version: int) -> dict:
    return {"txn": {"appId": app, "version": version}}


class ReaderOfTheDeltaLog(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.archive = Path(folder.name)
        self.table = Written(self.archive / "rows")

    def rows(self) -> list[int]:
        return sorted(read_table(self.table.folder).rows["_row"].to_pylist())

    def refused(self, text: str) -> None:
        with self.assertRaises(Inconsistent) as caught:
            read_archive(self.archive)
        self.assertIn(text, str(caught.exception))

    def test_an_empty_table_has_no_rows(self):
        self.assertEqual(self.rows(), [])

    def test_added_files_are_read_with_their_partition_values_and_txns(self):
        self.table.commit({"add": self.table.file("a b.parquet", 0, 3, "2019-02")}, txn("app", 7))
        table = read_table(self.table.folder)
        self.assertEqual(table.rows["_row"].to_pylist(), [0, 1, 2])
        self.assertEqual(table.rows["_partition"].to_pylist(), ["2019-02"] * 3)
        self.assertEqual(table.rows.column_names, list(FIELDS))
        self.assertEqual(table.txns, {"app": 7})

    def test_removed_files_are_not_read_and_older_versions_still_are(self):
        first = self.table.file("a.parquet", 0, 3)
        self.table.commit({"add": first})
        self.table.commit({"remove": {"path": first["path"]}}, {"add": self.table.file("b.parquet", 3, 2)})
        self.assertEqual(self.rows(), [3, 4])
        self.assertEqual(read_table(self.table.folder, version=1).rows.num_rows, 3)
        self.assertEqual(count_rows(self.table.folder), 2)

    def test_a_table_that_is_not_there_yet_counts_no_rows(self):
        self.assertEqual(count_rows(self.table.folder / "nowhere"), 0)

    def test_a_checkpoint_stands_for_commits_that_were_cleaned_away(self):
        first, second = self.table.file("a.parquet", 0, 3), self.table.file("b.parquet", 3, 2)
        self.table.commit({"add": first}, txn("app", 1))
        self.table.checkpoint([first], {"app": 1})
        self.table.commit({"add": second}, txn("app", 2))
        for version in [0, 1]:
            (self.table.log / f"{version:020}.json").unlink()
        self.assertEqual(self.rows(), [0, 1, 2, 3, 4])
        self.assertEqual(read_table(self.table.folder).txns, {"app": 2})

    def test_a_checkpoint_that_differs_from_the_commits_is_refused(self):
        self.table.commit({"add": self.table.file("a.parquet", 0, 3)})
        self.table.checkpoint([], {})
        self.refused("differs from the commits")

    def test_a_hole_in_the_log_is_refused(self):
        self.table.commit({"add": self.table.file("a.parquet", 0, 3)})
        self.table.commit({"add": self.table.file("b.parquet", 3, 3)})
        (self.table.log / f"{1:020}.json").unlink()
        with self.assertRaisesRegex(Inconsistent, "hole"):
            self.rows()

    def test_cleaned_commits_without_a_checkpoint_are_refused(self):
        self.table.commit({"add": self.table.file("a.parquet", 0, 3)})
        (self.table.log / f"{0:020}.json").unlink()
        self.refused("no checkpoint stands for them")

    def test_a_live_file_that_is_missing_is_refused(self):
        self.table.commit({"add": self.table.file("a.parquet", 0, 3)})
        (self.table.folder / "a.parquet").unlink()
        self.refused("live but missing")

    def test_a_wrong_count_of_rows_is_refused(self):
        add = self.table.file("a.parquet", 0, 3)
        self.table.commit({"add": {**add, "stats": json.dumps({"numRecords": 4})}})
        self.refused("3 rows, the log says 4")

    def test_a_truncated_file_is_refused(self):
        add = self.table.file("a.parquet", 0, 3)
        self.table.commit({"add": {**add, "size": add["size"] + 1}})
        self.refused("bytes, the log says")

    def test_a_file_added_twice_is_refused(self):
        add = self.table.file("a.parquet", 0, 3)
        self.table.commit({"add": add})
        self.table.commit({"add": add})
        self.refused("which is live already")

    def test_removing_a_file_that_is_not_live_is_refused(self):
        self.table.commit({"remove": {"path": "a.parquet"}})
        self.refused("which is not live")

    def test_a_txn_that_goes_back_is_refused(self):
        self.table.commit(txn("app", 5))
        self.table.commit(txn("app", 4))
        self.refused("goes back from 5 to 4")

    def test_an_action_that_the_reader_does_not_know_is_refused(self):
        self.table.commit({"sidecar": {"path": "x"}})
        self.refused("`sidecar`")

    def test_a_row_that_two_files_hold_is_refused(self):
        self.table.commit({"add": self.table.file("a.parquet", 0, 3)})
        self.table.commit({"add": self.table.file("b.parquet", 2, 3)})
        self.refused("more than once")

    def test_a_commit_cut_off_midway_is_refused(self):
        self.table.commit({"add": self.table.file("a.parquet", 0, 3)})
        path = self.table.log / f"{1:020}.json"
        path.write_text(path.read_text()[:40])
        self.refused("no JSON")


if __name__ == "__main__":
    unittest.main()
