"""The two tables of an archive: clean rows in `rows`, rejected ones in `rejects`."""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from .delta import Inconsistent, Table, read_table

REJECT_COLUMNS = ["_file", "_row", "ingested_at", "rules", "reasons", "original"]


@dataclass
class Archive:
    """Both tables; none where the folder has no table yet."""

    rows: Table | None
    rejects: Table | None

    def counts(self) -> dict:
        """What the command line prints."""
        return {name: _counts(table) for name, table in [("rows", self.rows), ("rejects", self.rejects)]}


def read_archive(folder: Path) -> Archive:
    """Reads both tables and checks that no row is in there twice."""
    if not folder.is_dir():
        raise Inconsistent(f"{folder}: no such folder")
    tables = [read_table(folder / name) if (folder / name).exists() else None for name in ["rows", "rejects"]]
    for table in tables:
        if table is not None:
            _check_identity(folder, table)
    rejects = tables[1]
    if rejects is not None:
        missing = [name for name in REJECT_COLUMNS if name not in rejects.rows.column_names]
        if missing:
            raise Inconsistent(f"{folder}: the table of rejects has no {missing}")
    return Archive(*tables)


def _check_identity(folder: Path, table: Table) -> None:
    for name in ["_file", "_row", "ingested_at"]:
        if name not in table.rows.column_names:
            raise Inconsistent(f"{folder}: a table has no column `{name}`")
        if table.rows[name].null_count:
            raise Inconsistent(f"{folder}: `{name}` is null in {table.rows[name].null_count} rows")
    rows = table.rows.select(["_file", "_row"])
    with duckdb.connect() as database:
        database.register("identities", rows)
        twice = database.execute(
            "SELECT _file, _row, count(*) FROM identities GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 5"
        ).fetchall()
    if twice:
        raise Inconsistent(f"{folder}: rows that are there more than once, such as {twice}")


def _counts(table: Table | None) -> dict | None:
    if table is None:
        return None
    return {
        "version": table.version,
        "rows": table.rows.num_rows,
        "files": len(table.files),
        "bytes": table.bytes,
        "columns": table.rows.column_names,
        "txns": table.txns,
    }
