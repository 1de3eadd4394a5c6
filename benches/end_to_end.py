"""How fast rows go end to end (clean, log, table, archive), beside plain copies of the same files in the same run.

The program runs the pipeline below to its end. The reference copy (DataFusion: read, filter, write) and DuckDB's copy do
only the first and the last of that work, with the same filter, zstd(1), row groups and two threads. Each is measured as
a whole process: wall time, processor time and peak memory. What the program archived is counted from the Delta log.

With `--log kafka` the program runs a second time in each round, over a broker on the same machine, which is started for
that and has its processor time counted apart.

With `--engine spark` it runs another time with Spark as the cleaner, whose server shares the processors of this machine,
beside a plain Spark job, written by hand, that writes the same cleaned rows as Parquet. What the program's memory is at its
peak is then told over that of a process of it that has nothing to do.

    python benches/end_to_end.py [--rows 10000000] [--repeat 3] [--log kafka] [--engine spark]
"""

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from generate import ROOT, ROW_GROUP_ROWS, ROWS, cached

sys.path.insert(0, str(ROOT / "tests"))
from kafka import Cluster, delete_topic  # noqa: E402
from kafka_rows import topics_of  # noqa: E402
from program import adapt, address, start  # noqa: E402
from reader.delta import replay  # noqa: E402
from spark import Server, query  # noqa: E402

RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Of `ru_maxrss`, in bytes."""
JOB_SECONDS = 1800
IDLE_SECONDS = 2
FILTER = "trip_distance > 0 AND fare_amount >= 0"
PIPELINE = """\
[pipeline]
name = "bench"
data_dir = "./millstream-data"

[source]
path = "{source}/*.parquet"
event_time = "pickup_datetime"

[clean.filter]
keep = "{filter}"

[stream]
partitions = 2
batch_rows = 32768

[archive]
partition_by = "none"

[server]
http = "127.0.0.1:0"
"""
DUCKDB_COPY = """\
import duckdb, sys
source, target, keep, group = sys.argv[1:]
with duckdb.connect() as database:
    database.execute("SET threads = 2")
    database.execute(
        f"COPY (SELECT * FROM read_parquet('{source}/*.parquet') WHERE {keep}) TO '{target}' "
        f"(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {group}, PER_THREAD_OUTPUT)"
    )
"""


@dataclass
class Measured:
    """One process from start to end."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    written_bytes: int = 0
    """Size of the Parquet files that it leaves."""


def measure(command: list[str], folder: Path) -> Measured:
    """Runs a command and takes its resource usage from the kernel; what it prints goes to files in `folder`."""
    with open(folder / "stdout.txt", "wb") as out, open(folder / "stderr.txt", "wb") as errors:
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command[0]} ended with {process.returncode}:\n{(folder / 'stderr.txt').read_text()[-3000:]}")
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * RSS_UNIT)


def release(name: str) -> str:
    """A program of the release build, or of the one that MILLSTREAM_BENCH_PROFILE names (`debug`: the development build)."""
    profile = os.environ.get("MILLSTREAM_BENCH_PROFILE", "release")
    path = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve() / profile / name
    if not path.exists():
        sys.exit(f"`{path}` is missing: run `make bench`, which builds it")
    return str(path)


def run_program(source: Path, folder: Path, kept: int, settings: dict[str, str] | None = None) -> Measured:
    """The pipeline, end to end; the archive must hold exactly the rows that the filter keeps."""
    pipeline = PIPELINE.format(source=source, filter=FILTER)
    (folder / "pipeline.toml").write_text(adapt(pipeline, settings or {}))
    measured = measure([release("millstream"), "run", "pipeline.toml", "--until-done", "--json"], folder)
    table = folder / "millstream-data" / "archive" / "rows"
    paths = [table / path for path in replay(table).adds]
    archived = sum(pq.read_metadata(path).num_rows for path in paths)
    measured.written_bytes = sum(path.stat().st_size for path in paths)
    if archived != kept:
        sys.exit(f"the archive holds {archived:,} rows, the filter keeps {kept:,}; kept: {folder}")
    return measured


class OverKafka:
    """The pipeline over a broker; each run has topics of its own."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self.broker_cpu_seconds: list[float] = []

    def __call__(self, source: Path, folder: Path, kept: int) -> Measured:
        topic = f"bench-{uuid.uuid4().hex[:12]}"
        before = cpu_seconds(self.cluster.pids[0])
        brokers = {"stream.topic": f'"{topic}"', "stream.kafka.brokers": f'"{self.cluster.bootstrap}"'}
        measured = run_program(source, folder, kept, brokers)
        self.broker_cpu_seconds.append(cpu_seconds(self.cluster.pids[0]) - before)
        for name in topics_of(self.cluster.bootstrap, topic):
            delete_topic(self.cluster.bootstrap, name)
        return measured


class OnSpark:
    """The pipeline with Spark as its cleaner, and a plain job on the same server."""

    JOB = """
        INSERT OVERWRITE DIRECTORY '{target}' USING parquet OPTIONS (compression 'zstd')
        SELECT *, _metadata.file_name AS _file, _metadata.row_index AS _row FROM parquet.`{source}` WHERE {keep}
    """

    def __init__(self, server: Server):
        self.server = server
        self.server_cpu_seconds: dict[str, list[float]] = {IN_SPARK: [], PLAIN_JOB: []}

    def pipeline(self, source: Path, folder: Path, kept: int) -> Measured:
        before = cpu_seconds(self.server.pid())
        measured = run_program(source, folder, kept, {"clean.spark.connect": f'"{self.server.address}"'})
        self.server_cpu_seconds[IN_SPARK].append(cpu_seconds(self.server.pid()) - before)
        return measured

    def job(self, source: Path, folder: Path, kept: int) -> Measured:
        """Its processor time is the server's, whose memory is not measured."""
        before, began = cpu_seconds(self.server.pid()), time.monotonic()
        query(self.server.address, self.JOB.format(source=source, target=folder / "copy", keep=FILTER), JOB_SECONDS)
        seconds, cpu = time.monotonic() - began, cpu_seconds(self.server.pid()) - before
        self.server_cpu_seconds[PLAIN_JOB].append(cpu)
        return _copied(Measured(seconds, cpu, 0), folder, kept)

    def warm_up(self, source: Path, folder: Path, kept: int) -> None:
        """A server that has just been started compiles what it runs."""
        for run in (self.job, self.pipeline):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            run(source, folder, kept)
        shutil.rmtree(folder)
        for times in self.server_cpu_seconds.values():
            times.clear()


def idle_bytes(folder: Path) -> int:
    """Memory at its peak of a process that waits for files."""
    (folder / "source").mkdir(parents=True)
    pipeline = PIPELINE.format(source=folder / "source", filter=FILTER)
    (folder / "pipeline.toml").write_text(adapt(pipeline, {"source.watch": "true"}))
    os.environ["MILLSTREAM_BIN"] = release("millstream")
    run = start(folder, "run", "pipeline.toml", "--json")
    address(folder, run)
    time.sleep(IDLE_SECONDS)
    run.process.send_signal(signal.SIGTERM)
    _, status, usage = os.wait4(run.process.pid, 0)
    run.process.returncode = os.waitstatus_to_exitcode(status)
    shutil.rmtree(folder)
    return usage.ru_maxrss * RSS_UNIT


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far; what `ps` says is the same everywhere."""
    text = subprocess.run(["ps", "-o", "time=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout
    days, _, clock = text.strip().rpartition("-")
    seconds = 0.0
    for part in clock.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds + 86_400 * int(days or 0)


def run_copy(source: Path, folder: Path, kept: int) -> Measured:
    """The reference: one plain DataFusion copy."""
    command = [release("examples/datafusion_copy"), str(source), str(folder / "copy"), FILTER]
    return _copied(measure(command, folder), folder, kept)


def run_duckdb(source: Path, folder: Path, kept: int) -> Measured:
    arguments = [str(source), str(folder / "copy"), FILTER, str(ROW_GROUP_ROWS)]
    return _copied(measure([sys.executable, "-c", DUCKDB_COPY, *arguments], folder), folder, kept)


def _copied(measured: Measured, folder: Path, kept: int) -> Measured:
    rows = sum(pq.read_metadata(path).num_rows for path in (folder / "copy").glob("*.parquet"))
    measured.written_bytes = sum(path.stat().st_size for path in (folder / "copy").glob("*.parquet"))
    if rows != kept:
        sys.exit(f"the copy holds {rows:,} rows, the filter keeps {kept:,}; kept: {folder}")
    return measured


RUNS: dict[str, Callable[[Path, Path, int], Measured]] = {
    "datafusion copy": run_copy,
    "duckdb copy": run_duckdb,
    "millstream": run_program,
}
ON_KAFKA = "millstream, kafka"
IN_SPARK = "millstream, spark"
PLAIN_JOB = "spark job"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of the source (default 10,000,000)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; the median counts (default 3)")
    parser.add_argument("--log", choices=["embedded", "kafka"], default="embedded", help="kafka: measure with Kafka, too")
    parser.add_argument("--engine", choices=["datafusion", "spark"], default="datafusion", help="spark: measure with Spark, too")
    parser.add_argument("--only", choices=[*RUNS, ON_KAFKA, IN_SPARK, PLAIN_JOB], action="append", help="measure this only")
    options = parser.parse_args()
    source = cached(options.rows)
    # Reading every file once brings it into the page cache, for all runs alike.
    size = sum(len(path.read_bytes()) for path in source.iterdir())
    with duckdb.connect() as database:
        kept = database.execute(f"SELECT count(*) FROM read_parquet('{source}/*.parquet') WHERE {FILTER}").fetchone()[0]
    print(f"{options.rows:,} rows, {size / 2**20:,.0f} MiB, the filter keeps {kept:,}; {os.cpu_count()} processors", flush=True)
    with ExitStack() as stack:
        runs = dict(RUNS)
        over_kafka = None
        if options.log == "kafka":
            folder = Path(tempfile.mkdtemp(prefix="kafka-", dir=source.parent))
            stack.callback(shutil.rmtree, folder)
            over_kafka = OverKafka(stack.enter_context(Cluster(folder)))
            runs[ON_KAFKA] = over_kafka
        on_spark, idle = None, 0
        if options.engine == "spark":
            folder = Path(tempfile.mkdtemp(prefix="spark-", dir=source.parent))
            stack.callback(shutil.rmtree, folder)
            on_spark = OnSpark(stack.enter_context(Server(folder / "server")))
            runs |= {IN_SPARK: on_spark.pipeline, PLAIN_JOB: on_spark.job}
            idle = idle_bytes(folder / "idle")
            on_spark.warm_up(source, folder / "warm", kept)
        names = [name for name in runs if not options.only or name in options.only]
        measured: dict[str, list[Measured]] = {name: [] for name in names}
        for turn in range(options.repeat):
            for name in names:
                folder = Path(tempfile.mkdtemp(prefix=f"{name.replace(', ', '-').replace(' ', '-')}-", dir=source.parent))
                result = runs[name](source, folder, kept)
                shutil.rmtree(folder)
                measured[name].append(result)
                print(f"  {turn + 1}: {name} {result.seconds:.2f} s", flush=True)
    _report(measured, options.rows, size)
    if over_kafka and over_kafka.broker_cpu_seconds:
        print(f"the broker took {statistics.median(over_kafka.broker_cpu_seconds):.1f} s of processor time beside it")
    if on_spark:
        _report_spark(measured, on_spark, idle)


def _report(measured: dict[str, list[Measured]], rows: int, source_bytes: int) -> None:
    medians = {name: statistics.median(run.seconds for run in runs) for name, runs in measured.items()}
    reference = medians.get("datafusion copy")
    print(f"\n{'':18} {'seconds':>8} {'rows/s':>12} {'of copy speed':>14} {'cpu s':>7} {'cpu ns/row':>10} {'peak MiB':>9} {'of source size':>14}")
    for name, runs in measured.items():
        speed = f"{reference / medians[name]:.2f}" if reference else "-"
        cpu = statistics.median(run.cpu_seconds for run in runs)
        peak = max(run.peak_bytes for run in runs) / 2**20
        written = max(run.written_bytes for run in runs) / source_bytes
        print(
            f"{name:18} {medians[name]:8.2f} {rows / medians[name]:12,.0f} {speed:>14} {cpu:7.1f} {cpu / rows * 1e9:10,.0f} "
            f"{f'{peak:,.0f}' if peak else '-':>9} {f'{written:.2f}' if written else '-':>14}"
        )


def _report_spark(measured: dict[str, list[Measured]], on_spark: OnSpark, idle: int) -> None:
    medians = {name: statistics.median(run.seconds for run in runs) for name, runs in measured.items()}
    for other in ("millstream", PLAIN_JOB):
        if {IN_SPARK, other} <= medians.keys():
            print(f"{IN_SPARK} takes {medians[IN_SPARK] / medians[other]:.2f} times as long as {other}")
    for name, seconds in on_spark.server_cpu_seconds.items():
        if seconds:
            print(f"Spark's server took {statistics.median(seconds):.1f} s of processor time for {name}")
    for name in ("millstream", IN_SPARK):
        if runs := measured.get(name):
            peak = max(run.peak_bytes for run in runs) - idle
            print(f"{name} takes {peak / 2**20:,.0f} MiB more than the {idle / 2**20:,.0f} MiB of a process that waits for files")


if __name__ == "__main__":
    main()
