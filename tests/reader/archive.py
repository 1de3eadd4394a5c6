"""The two tables of an archive: clean rows in `rows`, rejected ones in `rejects`."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from .delta import Inconsistent, Table, read_table

REJECT_COLUMNS = ["_file", "_row", "ingested_at", "rules", "reasons", "original"]


@dataclass
class Archive:
    """Both tables; none where the folder has no table yet."""

    rows: Table | None
    rejects: Table | None
    """The rows that are rejected: without those of which the table says what became of them."""
    resolved: dict[tuple[str, int], str] = field(default_factory=dict)
    """What became of rows that were rejected: `delivered`, `duplicate` or `filtered`."""

    def counts(self) -> dict:
        """What the command line prints."""
        return {name: _counts(table) for name, table in [("rows", self.rows), ("rejects", self.rejects)]}


def read_archive(folder: Path) -> Archive:
    """Reads both tables and checks that no row is in there twice."""
    if not folder.is_dir():
        raise Inconsistent(f"{folder}: no such folder")
    rows, rejects = (read_table(folder / name) if (folder / name).exists() else None for name in ["rows", "rejects"])
    resolved: dict[tuple[str, int], str] = {}
    if rejects is not None:
        rejects, resolved = _resolve(folder, rejects)
    for table in (rows, rejects):
        if table is not None:
            _check_identity(folder, table)
    if rejects is not None:
        missing = [name for name in REJECT_COLUMNS if name not in rejects.rows.column_names]
        if missing:
            raise Inconsistent(f"{folder}: the table of rejects has no {missing}")
    return Archive(rows, rejects, resolved)


def _resolve(folder: Path, rejects: Table) -> tuple[Table, dict[tuple[str, int], str]]:
    """The rejects of which nothing more is said, and what is said of the others."""
    if "resolved" not in rejects.rows.column_names:
        return rejects, {}
    is_word = pc.is_valid(rejects.rows["resolved"])
    words = rejects.rows.filter(is_word).select(["_file", "_row", "resolved"]).to_pylist()
    resolved = {(word["_file"], word["_row"]): word["resolved"] for word in words}
    if len(resolved) < len(words):
        raise Inconsistent(f"{folder}: {len(words) - len(resolved)} rejects are said to be resolved more than once")
    all_rejects = rejects.rows.filter(pc.invert(is_word)).drop_columns(["resolved", "resolved_at"])
    _check_identity(folder, replace(rejects, rows=all_rejects))
    names = list(zip(all_rejects["_file"].to_pylist(), all_rejects["_row"].to_pylist()))
    if unknown := resolved.keys() - set(names):
        raise Inconsistent(f"{folder}: resolved rows that were never rejected, such as {sorted(unknown)[:5]}")
    left = pa.array([name not in resolved for name in names], pa.bool_())
    return replace(rejects, rows=all_rejects.filter(left)), resolved


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
