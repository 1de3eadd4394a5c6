"""Compares an archive, as the independent reader sees it, with what the second computation expects."""

import json

import duckdb
import pyarrow as pa
from expected import Outcomes
from reader import Archive

IDENTITY = ("_file", "_row")
# Written by the program, not computable from the source.
NOT_COMPARED = {"ingested_at"}


def differences(archive: Archive, outcomes: Outcomes, partition_by_month: bool) -> list[str]:
    """Everything that is not as it must be, in words; empty if all is well."""
    if archive.rows is None:
        return ["the archive has no table of clean rows"]
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.register("archived", archive.rows.rows)
        database.register("rejects", _rejects(archive))
        for name in ["delivered", "rejected", "duplicate", "filtered"]:
            database.register(name, getattr(outcomes, name))
        found = identities(database, "archived", "delivered")
        found += identities(database, "rejects", "rejected")
        found += _values(database, archive, outcomes, partition_by_month)
        found += _reasons(database)
        return found


def _rejects(archive: Archive) -> pa.Table:
    if archive.rejects is not None:
        return archive.rejects.rows
    texts = pa.list_(pa.string())
    kinds = {"_file": pa.string(), "_row": pa.int64(), "rules": texts, "reasons": texts, "original": pa.string()}
    return pa.schema(kinds.items()).empty_table()


def identities(database: duckdb.DuckDBPyConnection, table: str, expected: str, complete: bool = True) -> list[str]:
    """Rows that are twice in the table, missing from it (if it must be `complete`), or in it although they belong elsewhere."""
    found = []
    twice = database.execute(
        f"SELECT _file, _row, count(*) FROM {table} GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL"
    ).fetchall()
    if twice:
        found.append(f"{table}: {len(twice)} rows more than once, such as {twice[:3]}")
    missing = database.execute(
        f"SELECT _file, _row FROM {expected} ANTI JOIN {table} USING (_file, _row) ORDER BY ALL"
    ).fetchall()
    if missing and complete:
        found.append(f"{table}: {len(missing)} rows missing, such as {missing[:3]}")
    belongs = " UNION ALL ".join(
        f"SELECT _file, _row, '{name}' AS outcome FROM {name}" for name in ["delivered", "rejected", "duplicate", "filtered"]
    )
    surplus = database.execute(
        f"SELECT _file, _row, coalesce(outcome, 'not in the source') FROM {table} "
        f"ANTI JOIN {expected} USING (_file, _row) LEFT JOIN ({belongs}) USING (_file, _row) ORDER BY ALL"
    ).fetchall()
    if surplus:
        found.append(f"{table}: {len(surplus)} rows that belong elsewhere, such as {surplus[:3]}")
    return found


def _values(
    database: duckdb.DuckDBPyConnection, archive: Archive, outcomes: Outcomes, partition_by_month: bool
) -> list[str]:
    """Columns whose values differ in any row."""
    names = [name for name in outcomes.delivered.column_names if name not in IDENTITY]
    if not partition_by_month:
        names.remove("_partition")
    columns = set(archive.rows.rows.column_names)
    found = []
    if missing := [name for name in names if name not in columns]:
        found.append(f"archived: columns missing: {missing}")
    if surplus := columns - {*names, *IDENTITY, *NOT_COMPARED}:
        found.append(f"archived: columns that nobody expects: {sorted(surplus)}")
    kinds = {name: kind for name, kind, *_ in database.execute("DESCRIBE delivered").fetchall()}
    for name in names:
        if name not in columns:
            continue
        mine, theirs = f"e.{name}", f"a.{name}"
        if name == "_marks":
            theirs = f"list_sort({theirs})"
        rows = database.execute(
            f"SELECT _file, _row, {theirs}, {mine} FROM archived a JOIN delivered e USING (_file, _row) "
            f"WHERE CAST({theirs} AS {kinds[name]}) IS DISTINCT FROM {mine} LIMIT 1000"
        ).fetchall()
        if rows:
            found.append(f"archived: `{name}` differs in {len(rows)} rows or more, such as (archived, expected) {rows[:3]}")
    return found


def _reasons(database: duckdb.DuckDBPyConnection) -> list[str]:
    """Rejects whose rules differ, that have no reason for a rule, or no original values."""
    found = []
    rules = database.execute(
        "SELECT _file, _row, r.rules, e.rules FROM rejects r JOIN rejected e USING (_file, _row) "
        "WHERE list_sort(r.rules) IS DISTINCT FROM e.rules"
    ).fetchall()
    if rules:
        found.append(f"rejects: {len(rules)} rows with other rules, such as (archived, expected) {rules[:3]}")
    for file, row, names, reasons, original in database.execute(
        "SELECT _file, _row, rules, reasons, original FROM rejects"
    ).fetchall():
        if len(reasons or []) != len(names or []) or not all(reasons):
            found.append(f"rejects: {file} row {row} has rules {names} but reasons {reasons}")
            break
        if "fare_amount" not in json.loads(original):
            found.append(f"rejects: {file} row {row} has no original values: {original}")
            break
    return found
