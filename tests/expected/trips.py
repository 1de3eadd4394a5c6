"""The rules of the taxi example, by hand."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

# Output column: (names that it had, type in DuckDB).
COLUMNS = {
    "vendor_id": (["vendor_id", "VendorID"], "INTEGER"),
    "pickup_datetime": (["pickup_datetime", "tpep_pickup_datetime"], "TIMESTAMP"),
    "dropoff_datetime": (["dropoff_datetime", "tpep_dropoff_datetime"], "TIMESTAMP"),
    "passenger_count": (["passenger_count"], "INTEGER"),
    "trip_distance": (["trip_distance"], "DOUBLE"),
    "rate_code_id": (["rate_code_id", "RatecodeID"], "INTEGER"),
    "store_and_fwd_flag": (["store_and_fwd_flag"], "VARCHAR"),
    "pickup_location_id": (["pickup_location_id", "PULocationID"], "INTEGER"),
    "dropoff_location_id": (["dropoff_location_id", "DOLocationID"], "INTEGER"),
    "payment_type": (["payment_type"], "INTEGER"),
    "fare_amount": (["fare_amount"], "DECIMAL(10,2)"),
    "extra": (["extra"], "DECIMAL(10,2)"),
    "mta_tax": (["mta_tax"], "DECIMAL(10,2)"),
    "tip_amount": (["tip_amount"], "DECIMAL(10,2)"),
    "tolls_amount": (["tolls_amount"], "DECIMAL(10,2)"),
    "improvement_surcharge": (["improvement_surcharge"], "DECIMAL(10,2)"),
    "total_amount": (["total_amount"], "DECIMAL(10,2)"),
    "congestion_surcharge": (["congestion_surcharge"], "DECIMAL(10,2)"),
}

# Rule: when it is broken (never by NULL, except where NULL is the point). Names are those of the pipeline file.
REJECTS = {
    "fare": "fare_amount < 0 OR fare_amount > 500",
    "forward": "dropoff_datetime <= pickup_datetime",
}
MARKS = {
    "fill:store_and_fwd_flag": "flag_was_null",
    "distance": "trip_distance < 0 OR trip_distance > 200",
    "extra": "extra < 0",
    "passengers": "passenger_count NOT BETWEEN 1 AND 6",
    "rate_code": "rate_code_id NOT BETWEEN 1 AND 6",
    "payment": "payment_type NOT BETWEEN 1 AND 6",
    "vendor": "vendor_id IS NULL",
    "surcharge": "congestion_surcharge IS NULL AND pickup_datetime >= TIMESTAMP '2019-02-01 00:00:00'",
    "moved": "trip_distance <= 0",
    "zones": "pickup_location_id IN (264, 265) OR dropoff_location_id IN (264, 265)",
}
# What the actions make of the values; columns not named stay as they are.
ACTIONS = {
    "trip_distance": "least(greatest(trip_distance, 0), 200)",
    "extra": "CASE WHEN extra < 0 THEN NULL ELSE extra END",
    "passenger_count": "CASE WHEN passenger_count BETWEEN 1 AND 6 THEN passenger_count END",
    "rate_code_id": "CASE WHEN rate_code_id BETWEEN 1 AND 6 THEN rate_code_id END",
    "payment_type": "CASE WHEN payment_type BETWEEN 1 AND 6 THEN payment_type END",
}
KEPT = "pickup_datetime >= TIMESTAMP '2018-11-01 00:00:00'"
KEY = ["vendor_id", "pickup_datetime", "dropoff_datetime", "pickup_location_id", "dropoff_location_id", "total_amount"]
WINDOW = timedelta(days=45)
SOURCE, FILE, OFF = "source", "file", "off"
"""How far repeats are looked for: in all files, as far as the window reaches; in the file alone; not at all."""


@dataclass
class Outcomes:
    """Where each row of the files must end. Each table has `_file` and `_row`."""

    delivered: pa.Table
    """All clean columns, `_marks` (sorted, null if none) and `_partition` (the month)."""
    rejected: pa.Table
    """`rules`, sorted."""
    duplicate: pa.Table
    filtered: pa.Table
    late: int
    """Delivered rows that dedup could not vouch for."""


def compute(files: list[Path], base: Path, dedup: str = SOURCE) -> Outcomes:
    """Computes the outcome of each row; `_file` is relative to `base`, files count in the order of their paths.

    `dedup`: how far repeats are looked for: `SOURCE` as the example does, `FILE`, or `OFF`.
    """
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        _load(database, sorted(files, key=lambda path: path.relative_to(base).as_posix()), base)
        _judge(database)
        late = _dedup(database, dedup)
        return Outcomes(
            delivered=_delivered(database),
            rejected=_table(database, "SELECT _file, _row, rules FROM judged WHERE kept AND rules IS NOT NULL"),
            duplicate=_table(database, "SELECT _file, _row FROM repeats"),
            filtered=_table(database, "SELECT _file, _row FROM judged WHERE NOT kept"),
            late=late,
        )


def _table(database: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    return database.sql(sql).to_arrow_table()


def _load(database: duckdb.DuckDBPyConnection, files: list[Path], base: Path) -> None:
    """Table `typed`: the rows of all files under one schema."""
    parts = []
    for sequence, path in enumerate(files):
        present = pq.read_schema(path).names
        columns = []
        for name, (names, kind) in COLUMNS.items():
            source = next((f'"{candidate}"' for candidate in names if candidate in present), "NULL")
            columns.append(f"CAST({source} AS {kind}) AS {name}")
        parts.append(
            f"SELECT {sequence} AS _sequence, '{path.relative_to(base).as_posix()}' AS _file, "
            f"file_row_number AS _row, {', '.join(columns)} "
            f"FROM read_parquet('{path}', file_row_number = true)"
        )
    database.execute("CREATE TABLE typed AS " + " UNION ALL ".join(parts))
    database.execute(
        """
        CREATE VIEW filled AS SELECT * REPLACE (coalesce(flag, 'N') AS store_and_fwd_flag), flag IS NULL AS flag_was_null
        FROM (SELECT *, nullif(nullif(upper(trim(store_and_fwd_flag)), ''), 'N/A') AS flag FROM typed)
        """
    )


def _names(rules: dict[str, str]) -> str:
    """SQL: the sorted names of the rules that a row broke, NULL if none."""
    cases = ", ".join(f"CASE WHEN {broken} THEN '{name}' END" for name, broken in rules.items())
    broken = f"list_sort(list_filter([{cases}], lambda name: name IS NOT NULL))"
    return f"CASE WHEN len({broken}) > 0 THEN {broken} END"


def _judge(database: duckdb.DuckDBPyConnection) -> None:
    database.execute(
        f"CREATE TABLE judged AS SELECT *, coalesce({KEPT}, false) AS kept, {_names(REJECTS)} AS rules, "
        f"{_names(MARKS)} AS marks FROM filled"
    )


def _dedup(database: duckdb.DuckDBPyConnection, dedup: str) -> int:
    """Table `repeats`; returns the late rows."""
    rows = database.execute(
        f"SELECT _file, _row, pickup_datetime, {', '.join(KEY)} FROM judged WHERE kept AND rules IS NULL "
        "ORDER BY _sequence, _row"
    ).fetchall()
    if dedup == SOURCE:
        repeats, late = _repeats_in_window(rows)
    else:
        repeats, late = _repeats_in_file(rows) if dedup == FILE else [], 0
    files = pa.array([file for file, _ in repeats], pa.string())
    numbers = pa.array([row for _, row in repeats], pa.int64())
    database.register("repeats_found", pa.table({"_file": files, "_row": numbers}))
    database.execute("CREATE TABLE repeats AS SELECT * FROM repeats_found")
    return late


def _repeats_in_window(rows: list[tuple]) -> tuple[list[tuple[str, int]], int]:
    """Rows in file order claim their key until the window has passed: those that came too late for that, and how many
    came when nobody could tell any more."""
    claimed = {}
    highest = None
    repeats, late = [], 0
    for file, row, time, *key in rows:
        key = tuple(key)
        highest = time if highest is None else max(highest, time)
        if time < highest - WINDOW:
            late += 1
            continue
        claim = claimed.get(key)
        if claim is not None and claim >= highest - WINDOW:
            repeats.append((file, row))
        else:
            claimed[key] = time
    return repeats, late


def _repeats_in_file(rows: list[tuple]) -> list[tuple[str, int]]:
    """Rows whose key an earlier row of the same file has."""
    claimed, repeats = set(), []
    for file, row, _, *key in rows:
        claim = (file, *key)
        if claim in claimed:
            repeats.append((file, row))
        claimed.add(claim)
    return repeats


def _delivered(database: duckdb.DuckDBPyConnection) -> pa.Table:
    values = ", ".join(f"CAST({ACTIONS.get(name, name)} AS {kind}) AS {name}" for name, (_, kind) in COLUMNS.items())
    return _table(
        database,
        f"""
        SELECT _file, _row, {values},
               CAST(tip_amount AS DOUBLE) / CAST(nullif(fare_amount, 0) AS DOUBLE) AS tip_share,
               marks AS _marks, strftime(pickup_datetime, '%Y-%m') AS _partition
        FROM judged ANTI JOIN repeats USING (_file, _row)
        WHERE kept AND rules IS NULL
        """,
    )


def summary(outcomes: Outcomes) -> dict:
    """The numbers that README quotes and tests compare."""
    with duckdb.connect() as database:
        for name in ["delivered", "rejected", "duplicate", "filtered"]:
            database.register(name, getattr(outcomes, name))

        def pairs(sql: str) -> dict:
            return dict(database.execute(sql).fetchall())

        counts = {
            name: getattr(outcomes, name).num_rows for name in ["delivered", "rejected", "duplicate", "filtered"]
        }
        every = " UNION ALL ".join(f"SELECT _file, '{name}' AS outcome FROM {name}" for name in counts)
        files = {}
        for file, outcome, rows in database.execute(
            f"SELECT _file, outcome, count(*) FROM ({every}) GROUP BY ALL ORDER BY ALL"
        ).fetchall():
            files.setdefault(file, {})[outcome] = rows
        money = [name for name, (_, kind) in COLUMNS.items() if kind.startswith("DECIMAL")]
        sums = database.execute(
            "SELECT " + ", ".join(f"sum({name})" for name in money) + ", sum(passenger_count) FROM delivered"
        ).fetchone()
        return {
            "rows": sum(counts.values()),
            **counts,
            "late": outcomes.late,
            "rejected_by_rule": pairs(
                "SELECT rule, count(*) FROM (SELECT unnest(rules) AS rule FROM rejected) GROUP BY 1 ORDER BY 2 DESC, 1"
            ),
            "marked_rows": outcomes.delivered.num_rows - outcomes.delivered.column("_marks").null_count,
            "marked_by_rule": pairs(
                "SELECT mark, count(*) FROM (SELECT unnest(_marks) AS mark FROM delivered) GROUP BY 1 ORDER BY 2 DESC, 1"
            ),
            "months": pairs("SELECT _partition, count(*) FROM delivered GROUP BY 1 ORDER BY 1"),
            "sums": {name: str(value) for name, value in zip([*money, "passenger_count"], sums)},
            "files": files,
        }
