"""Runs the steps of `make test`, `make check` or `make torture`, shows them as they go, and sums up what passed and failed.

The last line is `total: N passed, N failed`; the exit code is 0 only if every step ended well.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
Counts = tuple[int, int]


@dataclass
class Step:
    """One command; `count` finds (passed, failed) in what it printed, none: the exit code is the one result."""

    name: str
    what: str
    command: list[str]
    count: Callable[[str], Counts] | None = None
    folder: Path = ROOT
    only_on: str = ""
    """A platform as in `sys.platform`; empty: all."""
    is_test: bool = True
    """Whether it counts when it passes; a failure always does."""


def cargo_counts(output: str) -> Counts:
    results = re.findall(r"^test result: \S+ (\d+) passed; (\d+) failed", output, re.MULTILINE)
    return sum(int(passed) for passed, _ in results), sum(int(failed) for _, failed in results)


def unittest_counts(output: str) -> Counts:
    ran = sum(map(int, re.findall(r"^Ran (\d+) tests? in", output, re.MULTILINE)))
    skipped = sum(map(int, re.findall(r"skipped=(\d+)", output)))
    bad = sum(map(int, re.findall(r"(?:failures|errors)=(\d+)", output)))
    # What fails before the first test of a class was not run.
    return max(0, ran - bad - skipped), bad


def vitest_counts(output: str) -> Counts:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    line = next((line for line in plain.splitlines() if re.match(r"\s*Tests\s", line)), "")

    def number(word: str) -> int:
        match = re.search(rf"(\d+) {word}", line)
        return int(match[1]) if match else 0

    return number("passed"), number("failed")


def own_counts(output: str) -> Counts:
    results = re.findall(r"^(\d+) passed, (\d+) failed$", output, re.MULTILINE)
    return sum(int(passed) for passed, _ in results), sum(int(failed) for _, failed in results)


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


DASHBOARD = ROOT / "dashboard"
UNITS = python("-m", "unittest", "discover", "--start-directory", "tests", "--pattern", "test_*.py")
REDRIVE = python("tests/redrive_test.py")
KAFKA_KILL = python("tests/kill_test.py", "--log", "kafka")
KAFKA_FAULTS = python("tests/kafka_faults_test.py")
SPARK_KILL = python("tests/kill_test.py", "--engine", "spark")
SPARK_SEEDS = 30
"""Random pipelines that `make torture` compares."""
FUZZ_CASES = 20_000
"""Changed inputs that `make torture` tries of each kind."""
SPARK_PARITY = python("tests/spark_parity_test.py")
SPARK_PIPELINE = python("tests/spark_pipeline_test.py")
QUICK_SPARK = ["TheWholeWay", "Faults", "ServersThatAreAway"]
QUICK_FAULTS = ["BrokersThatAreAway", "TopicsThatAreNotAsTheyMustBe", "Secured"]

# One call, so that both are built with the same features.
BUILD = ["cargo", "build", "--package", "millstream", "--package", "spark-connect", "--bin", "millstream", "--example", "read_all"]

TEST = [
    Step("rust", "unit and integration tests", ["cargo", "test", "--workspace", "--no-fail-fast"], cargo_counts),
    Step("program", "the programs that the next steps drive", BUILD, is_test=False),
    Step("python", "expected numbers, reader, checkers", UNITS, unittest_counts),
    Step("page", "the page's own tests", ["npm", "test", "--silent"], vitest_counts, DASHBOARD),
    Step("sync", "appends are on disk before they are acknowledged", python("tests/sync_test.py"), unittest_counts, only_on="linux"),
    Step("queries", "each row once in every query", python("tests/queries_test.py"), unittest_counts),
    Step("upkeep", "the archive looks after itself", python("tests/upkeep_test.py"), unittest_counts),
    Step("dedup", "more keys than memory holds, and kills", python("tests/dedup_test.py"), unittest_counts),
    Step("disk", "disks that fill up", python("tests/disk_test.py"), unittest_counts, only_on="linux"),
    Step("browser", "the page in a browser", python("tests/page_test.py"), unittest_counts),
    Step("browser-rejects", "rules changed, rows redriven, files read again in a browser", python("tests/rejects_test.py"), unittest_counts),
    Step("browser-login", "logging in to the page in a browser", python("tests/login_test.py"), unittest_counts),
    Step("browser-explore", "Explore and SQL in a browser", python("tests/explore_test.py"), unittest_counts),
    Step("s3", "source and archive in a bucket whose server fails", python("tests/s3_test.py"), unittest_counts),
    Step("kill", "kills and the archive after them", python("tests/kill_test.py", "--seconds", "100"), own_counts),
    Step("redrive", "rejects redriven by processes that are killed", [*REDRIVE, "--rounds", "8", "--seconds", "40"], own_counts),
    Step("kafka-redrive", "the same over Kafka", [*REDRIVE, "--log", "kafka", "--rounds", "2"], own_counts),
    Step("kafka-readers", "other programs read the topics meanwhile", python("tests/kafka_consumer_test.py"), unittest_counts),
    Step("kafka-publishers", "publishers that share files", python("tests/kafka_publishers_test.py"), unittest_counts),
    Step("kafka-foreign", "a topic that another program writes", python("tests/kafka_foreign_test.py"), unittest_counts),
    Step("kafka-faults", "what can be wrong with Kafka", [*KAFKA_FAULTS, *QUICK_FAULTS], unittest_counts),
    Step("kafka-kill", "kills over Kafka, brokers among the killed", [*KAFKA_KILL, "--rounds", "5", "--seconds", "80"], own_counts),
    Step("nasty", "the program takes the pipelines of nasty values", python("tests/nasty_test.py"), unittest_counts),
    # The same files and pipelines each time: more of them, by chance, in `make torture`.
    Step("hostile", "hostile files among good ones", python("tests/hostile_test.py", "--seed", "224445"), unittest_counts),
    Step("spark-stream", "a result of Spark comes whole", python("tests/spark_stream_test.py"), unittest_counts),
    Step("spark-parity", "Spark and DataFusion give the same rows", [*SPARK_PARITY, "Parity", "--seed", "4100"], unittest_counts),
    Step("spark-pipeline", "the whole way with Spark, and its faults", [*SPARK_PIPELINE, *QUICK_SPARK], unittest_counts),
    Step("spark-kill", "kills with Spark, its server among the killed", [*SPARK_KILL, "--rounds", "2"], own_counts),
]
CLIPPY = ["cargo", "clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]
CHECK = [
    Step("format", "rustfmt", ["cargo", "fmt", "--all", "--check"]),
    Step("lints", "clippy", CLIPPY),
    Step("types", "the page's types and lints", ["npm", "run", "check", "--silent"], folder=DASHBOARD),
    Step("rust", "unit tests", ["cargo", "test", "--workspace", "--lib", "--bins"], cargo_counts),
    Step("python", "expected numbers, reader, checkers", UNITS, unittest_counts),
    Step("page", "the page's own tests", ["npm", "test", "--silent"], vitest_counts, DASHBOARD),
]


def torture(rounds: int) -> list[Step]:
    """Kills without end: `rounds` of them with the log in the program, a quarter of it for each way over Kafka or with Spark."""
    ways = {
        "kafka": ("one broker", []),
        "kafka-3": ("three brokers, one killed at a time", ["--brokers", "3"]),
        "kafka-apart": ("publishers and receivers come, go and sleep", ["--apart"]),
        "kafka-wire": ("the wire to the broker breaks", ["--wire"]),
    }
    few = str(max(1, rounds // 4))
    embedded = python("tests/kill_test.py", "--rounds", str(rounds))
    steps = [Step("embedded", "the log in the program", embedded, own_counts)]
    redrive = [*REDRIVE, "--rounds", str(rounds)]
    steps.append(Step("redrive", "rejects redriven", redrive, own_counts))
    steps.append(Step("kafka-redrive", "rejects redriven, over Kafka", [*REDRIVE, "--log", "kafka", "--rounds", few], own_counts))
    in_bucket = python("tests/kill_test.py", "--store", "s3", "--rounds", few)
    steps.append(Step("s3", "files in a bucket, calls to it fail", in_bucket, own_counts))
    hostile = python("tests/hostile_test.py", "--seeds", "20", "Hostile.test_generated_files")
    steps.append(Step("hostile", "hostile files, more seeds", hostile, unittest_counts))
    fuzz = ["env", f"PROPTEST_CASES={FUZZ_CASES}", "cargo", "test", "--workspace", "fuzz"]
    steps.append(Step("fuzz", "changed files, records and pipeline files", fuzz, cargo_counts))
    steps.append(Step("load", "ten minutes at full speed, a browser open", python("tests/load_test.py"), only_on="linux"))
    for name, (what, options) in ways.items():
        steps.append(Step(name, what, [*KAFKA_KILL, "--rounds", few, *options], own_counts))
    steps.append(Step("kafka-faults", "what can be wrong with Kafka for longer", [*KAFKA_FAULTS, "LongFaults"], unittest_counts))
    for name, what, options in [("spark", "Spark cleans", []), ("spark-kafka", "Spark cleans, over Kafka", ["--log", "kafka"])]:
        steps.append(Step(name, what, [*SPARK_KILL, "--rounds", few, *options], own_counts))
    steps.append(Step("spark-pipeline", "more ways with Spark", [*SPARK_PIPELINE, "MoreWays"], unittest_counts))
    seeds = ["--seeds", str(SPARK_SEEDS), "--staged", "times", "others", "numbers", "rules"]
    steps.append(Step("spark-parity", "the same rows, more random rules", [*SPARK_PARITY, "Parity", "AllOfTheData", *seeds], unittest_counts))
    return [*steps, Step("spark-cluster", "the same rows from a cluster", [*SPARK_PARITY, "Parity", "--cluster"], unittest_counts)]


@dataclass
class Result:
    step: Step
    passed: int
    failed: int
    seconds: float
    note: str = ""


def run(step: Step) -> Result:
    """Runs one step, its output shown as it comes."""
    began = time.monotonic()
    print(f"\n==> {step.name}: {step.what}", flush=True)
    if step.only_on and not sys.platform.startswith(step.only_on):
        print(f"not run: only on {step.only_on}")
        return Result(step, 0, 0, 0.0, "not run here")
    lines = []
    process = subprocess.Popen(
        step.command,
        cwd=step.folder,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    for line in process.stdout:
        lines.append(line)
        sys.stdout.write(line)
        sys.stdout.flush()
    code = process.wait()
    passed, failed = step.count("".join(lines)) if step.count else (int(code == 0), int(code != 0))
    if code != 0 and failed == 0:
        failed = 1
    note = "" if code == 0 else f"exit code {code}"
    if not step.is_test:
        return Result(step, 0, failed, time.monotonic() - began, note)
    if code == 0 and passed == 0:
        failed, note = failed + 1, "no test was counted"
    return Result(step, passed, failed, time.monotonic() - began, note)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="the steps of `make check`")
    parser.add_argument("--torture", action="store_true", help="the steps of `make torture`")
    parser.add_argument("--rounds", type=int, default=200, help="kills in them: see `torture` (default 200)")
    parser.add_argument("--list", action="store_true", help="show the steps")
    parser.add_argument("steps", nargs="*", help="run these only")
    options = parser.parse_args()
    steps = CHECK if options.check else torture(options.rounds) if options.torture else TEST
    if unknown := set(options.steps) - {step.name for step in steps}:
        parser.error(f"no such step: {', '.join(sorted(unknown))}; there are {', '.join(step.name for step in steps)}")
    if options.steps:
        steps = [step for step in steps if step.name in options.steps]
    if options.list:
        for step in steps:
            print(f"{step.name:17} {step.what}")
        return 0
    results = [run(step) for step in steps]
    print(f"\n{'step':17} {'passed':>7} {'failed':>7} {'seconds':>8}")
    for result in results:
        print(f"{result.step.name:17} {result.passed:7} {result.failed:7} {result.seconds:8.1f}  {result.note}".rstrip())
    passed, failed = sum(result.passed for result in results), sum(result.failed for result in results)
    print(f"total: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
