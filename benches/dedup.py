"""Dedup over many keys: narrow rows, one in twenty of them a repeat, with and without `[clean.dedup]`.

Rows are an id, a time (one a millisecond) and a number. Each run is a process from start to end: over the whole source, over a
window of a tenth of the time, and without dedup; the archive must hold exactly the rows that DuckDB counts. Then the process is
started again on what the first left, which has it read all keys back. Scratch files have no names: their size is taken from /proc
(Linux) while the process runs.

    python benches/dedup.py [--rows 10000000] [--memory 512MiB]
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from end_to_end import RSS_UNIT, release
from generate import ROOT

sys.path.insert(0, str(ROOT / "tests"))
from program import adapt  # noqa: E402
from reader.delta import replay  # noqa: E402

ROWS = 10_000_000
FILE_ROWS = 5_000_000
REPEAT_EVERY = 20
SAMPLE_SECONDS = 0.2
MIB = 1 << 20
PIPELINE = """\
[pipeline]
name = "dedup"

[source]
path = "{source}/*.parquet"
event_time = "at"

[stream]
batch_rows = 32768

[archive]
partition_by = "none"

[server]
http = "127.0.0.1:0"
"""


@dataclass
class Measured:
    """One process."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    scratch_bytes: int


def generate(folder: Path, rows: int) -> None:
    """Row `n` has the id of an earlier row where 20 divides it."""
    with duckdb.connect() as database:
        database.execute("SET threads = 2; SET memory_limit = '2GB'")
        for number, first in enumerate(range(0, rows, FILE_ROWS)):
            end = min(rows, first + FILE_ROWS)
            earlier = f"CASE WHEN n % {REPEAT_EVERY} = 0 THEN (hash(n) % (n + 1)::UBIGINT)::BIGINT ELSE n END"
            database.execute(
                f"COPY (SELECT {earlier} AS id, "
                "make_timestamp(1700000000000000 + n * 1000) AS at, (n % 1000)::INTEGER AS value "
                f"FROM range({first}, {end}) t(n)) TO '{folder}/part-{number:04}.parquet' "
                "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 1000000)"
            )


def distinct(source: Path) -> int:
    """Ids that are there."""
    with duckdb.connect() as database:
        database.execute("SET threads = 2; SET memory_limit = '4GB'")
        return database.execute("SELECT count(DISTINCT id) FROM read_parquet($1)", [f"{source}/*.parquet"]).fetchone()[0]


def run(folder: Path) -> Measured:
    """The pipeline to its end."""
    command = [release("millstream"), "run", "pipeline.toml", "--until-done", "--json"]
    with open(folder / "stdout.txt", "ab") as out, open(folder / "stderr.txt", "ab") as errors:
        began, scratch = time.monotonic(), 0
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=errors)
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            scratch = max(scratch, nameless_bytes(process.pid))
            time.sleep(SAMPLE_SECONDS)
        seconds = time.monotonic() - began
    _, status, usage = ended
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"ended with {process.returncode}:\n{(folder / 'stderr.txt').read_text()[-3000:]}")
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * RSS_UNIT, scratch)


def nameless_bytes(pid: int) -> int:
    """Size of the open files of a process that have no name."""
    total = 0
    for path in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            if os.readlink(path).endswith("(deleted)"):
                total += path.stat().st_size
        except OSError:
            pass
    return total


def archived_rows(folder: Path) -> int:
    table = folder / "millstream-data" / "archive" / "rows"
    return sum(pq.read_metadata(table / path).num_rows for path in replay(table).adds)


def log_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "millstream-data" / "log").rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--memory", default="512MiB")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="millstream-dedup-bench-"))
    source = work / "rows"
    source.mkdir()
    generate(source, options.rows)
    keys = distinct(source)
    size = sum(path.stat().st_size for path in source.iterdir()) / MIB
    print(f"{options.rows:,} rows ({size:,.0f} MiB as Parquet), {keys:,} keys, memory {options.memory}", flush=True)
    print(f"{'':10} {'s':>7} {'rows/s':>11} {'cpu s':>7} {'ratio':>6} {'peak MiB':>9} {'scratch MiB':>12} {'log MiB':>8} {'again s':>8}")
    window_seconds = options.rows // 10_000
    plain = 0.0
    for name, within in [("none", ""), ("source", "source"), ("window", f"{window_seconds}s")]:
        folder = work / name
        folder.mkdir()
        settings = {"limits.memory": f'"{options.memory}"'}
        if within:
            settings |= {"clean.dedup.key": '["id"]', "clean.dedup.within": f'"{within}"'}
        (folder / "pipeline.toml").write_text(adapt(PIPELINE.format(source=source), settings))
        measured = run(folder)
        if name != "window" and (rows := archived_rows(folder)) != (keys if within else options.rows):
            sys.exit(f"the archive holds {rows:,} rows; kept: {work}")
        disk = log_bytes(folder) / MIB
        again = run(folder)
        plain = plain or measured.seconds
        print(
            f"{name:10} {measured.seconds:7.1f} {options.rows / measured.seconds:11,.0f} {measured.cpu_seconds:7.1f} "
            f"{plain / measured.seconds:6.2f} {measured.peak_bytes / MIB:9,.0f} {measured.scratch_bytes / MIB:12,.0f} {disk:8,.0f} {again.seconds:8.1f}",
            flush=True,
        )
        shutil.rmtree(folder)
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
