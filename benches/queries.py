"""How long answers take: after a restart, over all rows beside DuckDB, and for a single row or a minute of them.

Rows are narrow (a number, a time, a measure). First all of them stay in the log, for nothing is archived: the program is
killed and started again, and what counts is the time until a query of `live` has every row. Then `events` is asked,
every row of it still in memory, beside DuckDB over the same rows as Parquet in the same run; then single rows and minutes
of `live`. At last everything is archived, and `events` is asked once more.

    python benches/queries.py [--rows 10000000] [--asked 200]
"""

import argparse
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from end_to_end import release
from generate import ROOT

sys.path.insert(0, str(ROOT / "tests"))
from program import Failure, adapt, address, get_json, query, start, tail, wait_until  # noqa: E402

FILE_ROWS = 2_500_000
PATIENCE_SECONDS = 600
START = 1_700_000_000_000_000
"""Time of the first row, microseconds since 1970."""
MICROS_A_ROW = 1_000
QUERIES = [
    "SELECT count(*), sum(value), max(moment) FROM {}",
    "SELECT number % 100 AS bucket, count(*), avg(value) FROM {} GROUP BY 1 ORDER BY 1",
    "SELECT count(*) FROM {} WHERE value > 990",
    "SELECT date_trunc('minute', moment) AS minute, max(value) FROM {} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10",
]
# All rows stay in memory and in the log until the second part.
PIPELINE = """\
[pipeline]
name = "queries"

[source]
path = "data/*.parquet"
watch = true
event_time = "moment"

[stream]
partitions = 2
batch_rows = 32768
retention_bytes = "4GiB"

[archive]
partition_by = "none"
commit_interval = "1h"
target_file_bytes = "4GiB"

[limits]
memory = "16GiB"

[server]
http = "127.0.0.1:0"
"""


def make_source(folder: Path, rows: int) -> None:
    """Narrow rows in some files."""
    folder.mkdir(parents=True)
    with duckdb.connect() as database:
        for begin in range(0, rows, FILE_ROWS):
            path = folder / f"rows-{begin // FILE_ROWS:03}.parquet"
            database.execute(
                f"COPY (SELECT range AS number, make_timestamptz({START} + range * {MICROS_A_ROW}) AS moment, "
                f"hash(range) % 100000 / 100 AS value FROM range({begin}, {min(rows, begin + FILE_ROWS)})) "
                f"TO '{path}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
            )


def asked(url: str, sql: str) -> tuple[list[list], float]:
    """The answer, and how many seconds it took."""
    began = time.monotonic()
    return query(url, sql), time.monotonic() - began


def percentiles(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p50, p99 = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms"


def beside_duckdb(url: str, source: Path, what: str) -> None:
    """Each query three times on both; the best counts."""
    with duckdb.connect() as database:
        database.execute(f"SET threads = {os.cpu_count()}; SET TimeZone = 'UTC'")
        ratios = []
        for sql in QUERIES:
            ours = min(asked(url, sql.format("events"))[1] for _ in range(3))
            theirs = []
            for _ in range(3):
                began = time.monotonic()
                database.execute(sql.format(f"read_parquet('{source}/*.parquet')")).to_arrow_table()
                theirs.append(time.monotonic() - began)
            ratios.append(ours / min(theirs))
            print(f"  {ours * 1000:7.0f} ms, DuckDB {min(theirs) * 1000:7.0f} ms: {sql.format('events')}", flush=True)
    mean = statistics.geometric_mean(ratios)
    print(f"{what}: {mean:.2f} times as long as DuckDB over the same rows as Parquet (geometric mean)", flush=True)


def look_up(url: str, rows: int, times: int) -> None:
    """Single rows and minutes of `live`, at places by chance."""
    chance = random.Random(1)
    single, minutes = [], []
    for _ in range(times):
        number = chance.randrange(rows)
        found, seconds = asked(url, f"SELECT value FROM live WHERE number = {number}")
        if len(found) != 1:
            raise Failure(f"row {number} is there {len(found)} times")
        single.append(seconds)
        first = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime((START + chance.randrange(rows) * MICROS_A_ROW) // 1_000_000))
        within = f"moment >= TIMESTAMP '{first}' AND moment < TIMESTAMP '{first}' + INTERVAL '1 minute'"
        minutes.append(asked(url, f"SELECT count(*), avg(value) FROM live WHERE {within}")[1])
    print(f"one row of live by a number that nothing is sorted by: {percentiles(single)}")
    print(f"one minute of live by event time: {percentiles(minutes)}", flush=True)


def rows_of(url: str, table: str) -> int:
    return query(url, f"SELECT count(*) FROM {table}")[0][0]


def measure(folder: Path, rows: int, times: int) -> None:
    source = folder / "data"
    make_source(source, rows)
    (folder / "pipeline.toml").write_text(PIPELINE)
    program = start(folder, "run", "pipeline.toml")
    try:
        url = address(folder, program)
        wait_until(lambda: rows_of(url, "live") == rows, PATIENCE_SECONDS, f"every row:\n{tail(program.log)}")
        program.kill()
        began = time.monotonic()
        program = start(folder, "run", "pipeline.toml")
        url = address(folder, program)
        first = time.monotonic() - began
        wait_until(lambda: rows_of(url, "live") == rows, PATIENCE_SECONDS, f"every row:\n{tail(program.log)}")
        every = time.monotonic() - began
        print(f"restart: the first answer after {first:.2f} s, with all {rows:,} live rows after {every:.2f} s "
              f"({rows / every:,.0f} rows/s)", flush=True)
        beside_duckdb(url, source, "events, all in memory")
        look_up(url, rows, times)
        program.process.send_signal(signal.SIGTERM)
        if code := program.wait(PATIENCE_SECONDS):
            raise Failure(f"ended with {code}:\n{tail(program.log)}")
        (folder / "pipeline.toml").write_text(adapt(PIPELINE, {"limits.memory": '"512MiB"'}))
        program = start(folder, "run", "pipeline.toml")
        url = address(folder, program)
        if rows_of(url, "events") != rows:
            raise Failure(f"events has other rows: {get_json(url, '/api/v1/status')}")
        beside_duckdb(url, source, "events, all archived")
    finally:
        if program.process.poll() is None:
            program.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, help="narrow rows (default 10,000,000)")
    parser.add_argument("--asked", type=int, default=200, help="single rows and minutes that are asked for (default 200)")
    options = parser.parse_args()
    if "MILLSTREAM_BIN" not in os.environ:
        os.environ["MILLSTREAM_BIN"] = release("millstream")
    folder = Path(tempfile.mkdtemp(prefix="millstream-queries-"))
    print(f"{options.rows:,} narrow rows; {os.cpu_count()} processors", flush=True)
    measure(folder, options.rows, options.asked)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
