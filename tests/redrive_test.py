"""Redrives rejects again and again, kills the program meanwhile, and compares what is archived in the end with what must be there.

A life: files of numbers are published under a narrow rule, so that many rows are rejected, some of which repeat others. Then, a few
times over, the rule in the pipeline file is made wider (or the filter closer) and `millstream redrive` is asked, with a process that
dies: at a named fail-point around the append, or at a random moment. In the end the independent reader reads the archive: each row must
be where a second computation says, once. `verify` must agree.

With the embedded log the rejects are redriven by the command itself or by a pipeline that runs; over Kafka by one that runs.
A round is one kill. `--seed` repeats the choices of a run.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
from kafka import cluster_for_tests, delete_topic
from program import DATA_DIR, Failure, Run, address, binary, get_json, start, tail, wait_until, was_killed
from reader import Inconsistent, read_archive

END_SECONDS = 120
FAILPOINTS = [
    "dedup.restored",
    "dedup.spilled",
    "redrive.before_append",
    "redrive.appended",
    "append.before",
    "append.after",
    "receive.before_insert",
    "archive.staged",
    "archive.before_commit",
    "archive.committed",
    "archive.before_swap",
    "archive.before_trim",
]
FILES = 3
ROWS = 6_000
KEYS = 9_000
"""Fewer than there are rows: some are repeats."""
FIRST_LIMIT = 300
"""Of fares of up to 1000."""


@dataclass
class Life:
    """One folder with its files, and what must be in its archive."""

    folder: Path
    rng: random.Random
    bootstrap: str | None = None
    topic: str = field(default_factory=lambda: f"redrive-{uuid.uuid4().hex[:12]}")
    limit: int = FIRST_LIMIT
    keep: str = "kind IS NOT NULL"
    rows: list[tuple[str, int, int, int, str]] = field(default_factory=list)
    """File, number, key, fare and kind, in order."""
    became: dict[tuple[str, int], str] = field(default_factory=dict)
    """`delivered`, `duplicate`, `filtered` or `rejected`."""
    keys: set[int] = field(default_factory=set)
    """Those of delivered rows."""
    runs: list[Run] = field(default_factory=list)

    def prepare(self) -> str:
        """Writes the files and the pipeline file, and publishes under the first rule."""
        data, rng = self.folder / "data", self.rng
        data.mkdir(parents=True)
        with duckdb.connect() as database:
            for number in range(FILES):
                name = f"data/{number}.parquet"
                kinds = ["day", "night", "test"]
                rows = [(rng.randrange(KEYS), rng.randrange(1001), rng.choice(kinds)) for _ in range(ROWS)]
                self.rows += [(name, row, *values) for row, values in enumerate(rows)]
                database.execute("CREATE OR REPLACE TABLE t (key BIGINT, fare BIGINT, kind VARCHAR, moment TIMESTAMPTZ)")
                start_of_file = 1_577_836_800 + number * ROWS
                values = ", ".join(
                    f"({key}, {fare}, '{kind}', to_timestamp({start_of_file + row}))" for row, (key, fare, kind) in enumerate(rows)
                )
                database.execute(f"INSERT INTO t VALUES {values}")
                database.execute(f"COPY t TO '{self.folder / name}' (FORMAT parquet, ROW_GROUP_SIZE 2048)")
        self.settings = {
            "format": rng.choice(["arrow", "json"]) if self.bootstrap else "arrow",
            "partitions": rng.choice([1, 2, 3]),
            "batch_rows": rng.choice([100, 500, 8192]),
            "retention": rng.choice(["100ms", "1h"]),
            "commit_interval": rng.choice(["50ms", "1s"]),
        }
        self.write()
        self.undisturbed("run", "--until-done", "--json")
        self.publish(self.rows, first=True)
        return ", ".join(f"{name} {value}" for name, value in self.settings.items())

    def write(self) -> None:
        """The pipeline file as the rules are now."""
        of = self.settings
        kafka = (
            f"[stream.kafka]\nbrokers = \"{self.bootstrap}\"\ngroup = \"{self.topic}\"\ntransaction_timeout = \"6s\"\nsession_timeout = \"6s\"\n"
            if self.bootstrap
            else ""
        )
        (self.folder / "pipeline.toml").write_text(
            f"""[pipeline]
name = "redrive"
[source]
path = "data/*.parquet"
watch = true
event_time = "moment"
[clean.filter]
keep = "{self.keep}"
[clean.rules]
fare = {{ column = "fare", check = {{ range = {{ min = 0, max = {self.limit} }} }}, action = "reject" }}
[clean.dedup]
key = ["key"]
within = "source"
[stream]
topic = "{self.topic}"
format = "{of["format"]}"
partitions = {of["partitions"]}
batch_rows = {of["batch_rows"]}
retention = "{of["retention"]}"
flush_interval = "5ms"
{kafka}[archive]
commit_interval = "{of["commit_interval"]}"
history = "1s"
[limits]
query_timeout = "500ms"
[server]
http = "127.0.0.1:0"
"""
        )

    def publish(self, rows: list[tuple[str, int, int, int, str]], first: bool = False) -> None:
        """The second computation: what becomes of rows under the rules as they are now, in the order of files and rows."""
        for file, row, key, fare, kind in rows:
            name = (file, row)
            if not first and self.became[name] != "rejected":
                continue
            if "test" in self.keep and kind == "test":
                self.became[name] = "filtered"
            elif fare > self.limit:
                self.became[name] = "rejected"
            elif key in self.keys:
                self.became[name] = "duplicate"
            else:
                self.keys.add(key)
                self.became[name] = "delivered"

    def change(self) -> None:
        """Another rule: each lets more rows pass than the one before; the filter leaves out what still is rejected."""
        if self.rng.random() < 0.3 and "test" not in self.keep:
            self.keep = "kind <> 'test'"
        self.limit = min(1000, self.limit + self.rng.choice([50, 150, 400]))
        self.write()

    def run(self, *arguments: str, failpoint: str = "", name: str = "") -> Run:
        environment = {"MILLSTREAM_FAILPOINT": failpoint} if failpoint else None
        run = start(self.folder, arguments[0], "pipeline.toml", *arguments[1:], environment=environment, name=name)
        self.runs.append(run)
        return run

    def undisturbed(self, *arguments: str) -> None:
        code = self.run(*arguments).wait(END_SECONDS)
        if code != 0:
            raise Failure(f"`{' '.join(arguments)}` ended with {code}")

    def kill(self) -> str | None:
        """One redrive with a process that dies; what was done, none when it came to its end before."""
        failpoint = self.rng.choice(FAILPOINTS) + f":{self.rng.choice([1, 1, 2, 3])}" if self.rng.random() < 0.7 else ""
        seconds = self.rng.uniform(0, 1.5)
        if self.bootstrap is None and self.rng.random() < 0.6:
            run = self.run("redrive", failpoint=failpoint)
            code = run.wait(END_SECONDS if failpoint else 0.1 + seconds)
        else:
            run = self.run("run", failpoint=failpoint)
            try:
                address(self.folder, run)
            except Failure:
                # What the process before it had left to do may lead to the fail-point, too.
                if run.process.poll() is not None and was_killed(run.process.returncode):
                    return f"{failpoint} at the start"
                raise
            asked = self.run("redrive", name="asked")
            if failpoint:
                wait_until(lambda: run.process.poll() is not None or asked.process.poll() is not None, END_SECONDS, "redriven or dead")
                code = run.wait(0.5)
            else:
                code = run.wait(seconds)
            if code is None:
                code = run.kill()
                failpoint += " missed, SIGKILL" if failpoint else ""
            asked.wait(END_SECONDS)
        if code is None:
            code = run.kill()
        if was_killed(code):
            return failpoint or f"SIGKILL after {seconds:.1f} s"
        if code != 0:
            raise Failure(f"exit code {code} of a redrive{' at ' + failpoint if failpoint else ''}")
        return None

    def finish(self) -> None:
        """The redrive comes to its end, by a process that lives."""
        if self.bootstrap is None and self.rng.random() < 0.5:
            self.undisturbed("redrive", "--json")
        else:
            with self.running() as (_, url):
                self.undisturbed("redrive", "--json")
                self.balanced(url)
        self.publish(self.rows)

    @contextmanager
    def running(self) -> Iterator[tuple[Run, str]]:
        """A pipeline that runs, and is told to stop in the end."""
        run = self.run("run")
        try:
            yield run, address(self.folder, run)
        finally:
            run.process.terminate()
            code = run.wait(END_SECONDS)
        if code != 0:
            raise Failure(f"the pipeline ended with {code}")

    def balanced(self, url: str) -> None:
        """The ledger of the process that redrove counts rows as what they are now, once all of them are archived."""

        def settled() -> bool:
            ledger = get_json(url, "/api/ledger")
            return ledger["balanced"] and ledger["total"]["in_flight"] == 0

        wait_until(settled, END_SECONDS, "the ledger adds up")

    def compare(self) -> str:
        """What is archived, by the independent reader, and what the program says of itself."""
        archive = read_archive(self.folder / DATA_DIR / "archive")
        found = dict(archive.resolved)
        rejects = archive.rejects.rows if archive.rejects else None
        names = list(zip(rejects["_file"].to_pylist(), rejects["_row"].to_pylist())) if rejects else []
        delivered = archive.rows.rows
        wanted = {kind: {name for name, what in self.became.items() if what == kind} for kind in set(self.became.values())}
        problems = []
        for kind, there in [("delivered", zip(delivered["_file"].to_pylist(), delivered["_row"].to_pylist())), ("rejected", names)]:
            there = list(there)
            if len(there) != len(set(there)):
                problems.append(f"{len(there) - len(set(there))} rows are {kind} more than once")
            for what, rows in [("missing", wanted.get(kind, set()) - set(there)), ("too many", set(there) - wanted.get(kind, set()))]:
                if rows:
                    problems.append(f"{kind}: {len(rows)} {what}, such as {[(name, self.became[name]) for name in sorted(rows)[:3]]}")
        wrong = [(name, what, self.became[name]) for name, what in found.items() if self.became[name] != what]
        if wrong:
            problems.append(f"{len(wrong)} rejects are resolved as something else, such as {wrong[:3]}")
        if problems:
            raise Failure("\n  ".join(["what came out is not what it must be:", *problems]))
        self.undisturbed("verify", "--fast", "--json")
        self.undisturbed("verify", "--json")
        status = self._status()
        counts = {kind: len(rows) for kind, rows in wanted.items()}
        total = status["ledger"]["total"]
        told = {"delivered": total["delivered"], "rejected": total["rejected"], "duplicate": total["deduplicated"], "filtered": total["filtered"]}
        if not status["ledger"]["balanced"] or {kind: n for kind, n in told.items() if n} != counts:
            raise Failure(f"the ledger says {status['ledger']}, and {counts} are right")
        return f"{counts}, {len(found)} of them redriven, in {archive.rejects.version} versions of the rejects"

    def _status(self) -> dict:
        log = self.folder / "status-stdout.txt"
        log.unlink(missing_ok=True)
        if self.run("status", "--json", name="status").wait(END_SECONDS) != 0:
            raise Failure("`status` failed")
        return json.loads(log.read_text())

    def release(self) -> None:
        for run in self.runs:
            if run.process.poll() is None:
                run.kill()

    def clear(self) -> None:
        """Takes away what is outside of its folder."""
        if self.bootstrap:
            for suffix in ["", ".rejects", ".progress", ".dedup"]:
                delete_topic(self.bootstrap, self.topic + suffix)


def live(life: Life, rounds: int) -> int:
    """One life with at most `rounds` kills; returns how many."""
    kills = []
    try:
        print(f"life: {life.prepare()}", flush=True)
        for _ in range(life.rng.randint(2, 4)):
            life.change()
            for _ in range(life.rng.randint(1, 3)):
                if len(kills) < rounds and (done := life.kill()):
                    kills.append(done)
            life.finish()
        compared = life.compare()
    except (Failure, Inconsistent) as failure:
        logs = "".join(f"\n  last lines of {path.name}:\n{tail(path)}" for path in sorted(life.folder.glob("*stderr.txt")))
        raise Failure(f"{failure}\n  after kills [{', '.join(kills)}]\n  kept: {life.folder}{logs}") from failure
    finally:
        life.release()
    life.clear()
    shutil.rmtree(life.folder)
    print(f"  killed {len(kills)} times [{', '.join(kills)}]: {compared}", flush=True)
    return len(kills)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12, help="kills in all (default 12)")
    parser.add_argument("--seed", type=int, help="repeats the choices of an earlier run")
    parser.add_argument("--log", choices=["embedded", "kafka"], default="embedded", help="where rows are between the stages")
    parser.add_argument("--seconds", type=float, help="begin no new life after this time")
    return parser.parse_args()


@contextmanager
def place(log: str, base: Path) -> Iterator[str | None]:
    """The broker to use, if one is used."""
    if log == "embedded":
        yield None
        return
    with cluster_for_tests(base / "kafka") as cluster:
        yield cluster.bootstrap


def main() -> int:
    options = parse()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    print(f"redrive test of {binary()}, {options.log}: {options.rounds} rounds, --seed {seed}", flush=True)
    base = Path(tempfile.mkdtemp(prefix="millstream-redrive-"))
    began, done, number, failed = time.monotonic(), 0, 0, []
    try:
        with place(options.log, base) as bootstrap:
            while done < options.rounds and number < options.rounds:
                if options.seconds is not None and time.monotonic() - began > options.seconds:
                    print(f"time is up after {done} of {options.rounds} rounds", flush=True)
                    break
                number += 1
                life = Life(base / f"life-{number}", random.Random(f"{seed}/{number}"), bootstrap)
                done += live(life, options.rounds - done)
    except Failure as failure:
        failed.append(str(failure))
    if not failed:
        shutil.rmtree(base)
    for text in failed:
        print(f"FAILED: {text}")
    print(f"redrive test: {done} rounds in {number} lives, {time.monotonic() - began:.0f} s, --seed {seed}")
    print(f"{done} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
