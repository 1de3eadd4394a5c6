"""How fresh rows are: a file of 5,000 rows lands every 100 ms, and a query of `events` must see all of its rows.

Measured from outside, from the moment at which a file is renamed into the source to the moment at which the answer that has
its last row has arrived over HTTP. Queries follow one another without a pause, so that the time of one of them is part of
it. Files are made beforehand from real trips.

    python benches/freshness.py [--seconds 60] [--log kafka]

With `--log kafka` both logs are measured, one after the other, the broker on the same machine.
"""

import argparse
import os
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pyarrow.parquet as pq

from end_to_end import release
from generate import ROOT, Repeated, real_trips

sys.path.insert(0, str(ROOT / "tests"))
from kafka import Cluster  # noqa: E402
from program import Failure, adapt, address, query, start, tail, wait_until  # noqa: E402

FILE_ROWS = 5_000
INTERVAL_SECONDS = 0.1
PATIENCE_SECONDS = 60
PIPELINE = """\
[pipeline]
name = "freshness"

[source]
path = "data/*.parquet"
watch = true
event_time = "pickup_datetime"

[clean.rules]
fare = { column = "fare_amount", check = { range = { min = 0, max = 500 } }, action = "warn" }

[stream]
topic = "freshness"
partitions = 2

[archive]
partition_by = "none"

[server]
http = "127.0.0.1:0"
"""


class Landing(threading.Thread):
    """Renames one file after the other into the source, each at its time."""

    def __init__(self, files: list[Path], source: Path):
        super().__init__()
        self.files, self.source = files, source
        self.landed: dict[str, float] = {}
        """File as `_file` names it, and when it landed."""

    def run(self) -> None:
        began = time.monotonic()
        for number, path in enumerate(self.files):
            time.sleep(max(0.0, began + number * INTERVAL_SECONDS - time.monotonic()))
            self.landed[f"data/{path.name}"] = time.monotonic()
            path.rename(self.source / path.name)


class Watching:
    """Asks again and again which files are there in whole."""

    def __init__(self, url: str, names: list[str]):
        self.url = url
        self.names = names
        self.seen: dict[str, float] = {}
        self.query_seconds: list[float] = []

    def look(self) -> bool:
        """One query; whether every file was seen by now."""
        oldest = next(name for name in self.names if name not in self.seen)
        asked = time.monotonic()
        rows = query(self.url, f"SELECT _file, count(*) FROM events WHERE _file >= '{oldest}' GROUP BY _file")
        answered = time.monotonic()
        self.query_seconds.append(answered - asked)
        for name, count in rows:
            if count > FILE_ROWS:
                raise Failure(f"`{name}` has {count} rows in an answer, it has {FILE_ROWS}")
            if count == FILE_ROWS:
                self.seen.setdefault(name, answered)
        return len(self.seen) == len(self.names)


def make_files(folder: Path, count: int) -> list[Path]:
    """`count` files with rows of their own."""
    folder.mkdir()
    trips = Repeated(real_trips())
    paths = [folder / f"trips-{number:06}.parquet" for number in range(count)]
    for path in paths:
        pq.write_table(trips.take(FILE_ROWS), path, compression="zstd")
    return paths


def measure(folder: Path, count: int, settings: dict[str, str]) -> tuple[list[float], Watching]:
    """Seconds from landing to seen, of each file."""
    source = folder / "data"
    source.mkdir(parents=True)
    # The first file warms up: until it is seen, nothing is measured.
    warm_up, *files = make_files(folder / "made", count + 1)
    (folder / "pipeline.toml").write_text(adapt(PIPELINE, settings))
    program = start(folder, "run", "pipeline.toml")
    try:
        url = address(folder, program)
        warm_up.rename(source / warm_up.name)
        warm = Watching(url, [f"data/{warm_up.name}"])
        wait_until(warm.look, PATIENCE_SECONDS, f"the first file seen:\n{tail(program.log)}")
        landing, watching = Landing(files, source), Watching(url, [f"data/{path.name}" for path in files])
        landing.start()
        wait_until(watching.look, count * INTERVAL_SECONDS + PATIENCE_SECONDS, "every file seen", every=0)
        landing.join()
        program.process.send_signal(signal.SIGTERM)
        if code := program.wait(PATIENCE_SECONDS):
            raise Failure(f"ended with {code}:\n{tail(program.log)}")
    finally:
        if program.process.poll() is None:
            program.kill()
    return [watching.seen[name] - at for name, at in landing.landed.items()], watching


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="for how long files land (default 60)")
    parser.add_argument("--log", choices=["embedded", "kafka"], default="embedded", help="kafka: measure with Kafka, too")
    options = parser.parse_args()
    if "MILLSTREAM_BIN" not in os.environ:
        os.environ["MILLSTREAM_BIN"] = release("millstream")
    count = max(1, round(options.seconds / INTERVAL_SECONDS))
    print(
        f"{count} files of {FILE_ROWS:,} rows, one each {INTERVAL_SECONDS * 1000:.0f} ms; {os.cpu_count()} processors; "
        f"milliseconds from landing to seen:\n\n{'':10} {'p50':>7} {'p90':>7} {'p99':>7} {'most':>7} {'one query':>11}",
        flush=True,
    )
    base = Path(tempfile.mkdtemp(prefix="millstream-freshness-"))
    with ExitStack() as stack:
        logs: dict[str, dict[str, str]] = {"embedded": {}}
        if options.log == "kafka":
            cluster = stack.enter_context(Cluster(base / "kafka"))
            logs["kafka"] = {"stream.kafka.brokers": f'"{cluster.bootstrap}"'}
        for name, settings in logs.items():
            _report(name, *measure(base / name, count, settings))
    shutil.rmtree(base)


def _report(name: str, seconds: list[float], watching: Watching) -> None:
    ordered = sorted(seconds)
    shares = [ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.9, 0.99)]
    one = statistics.median(watching.query_seconds)
    times = " ".join(f"{value * 1000:7.0f}" for value in [*shares, ordered[-1]])
    print(f"{name:10} {times} {one * 1000:11.1f}", flush=True)


if __name__ == "__main__":
    main()
