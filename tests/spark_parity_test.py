"""Spark and DataFusion give the same rows: `millstream parity` cleans the same files with both and finds no difference.

Over the taxi example, over tables of nasty values, and over random rules on random rows; and over all of the real data that stand
beside the project, where they do.

    PYTHONPATH=tests python tests/spark_parity_test.py [Parity] [AllOfTheData] [--seeds N] [--seed FIRST]
    PYTHONPATH=tests python tests/spark_parity_test.py --cluster     with one master and two workers

SPARK_CONNECT names a server that is there; it must see the files by the same paths.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import nasty
from program import EXAMPLE, ROOT, Failure, adapt, binary
from spark import GivenServer, Server, server_for_tests

SECONDS = 300
DATA = ROOT.parent / "shared" / "data"
options = argparse.Namespace(seeds=2, seed=random.SystemRandom().randrange(1_000_000), cluster=False, staged=["others"])


def parity(pipeline: Path) -> dict:
    """What `millstream parity` says of a pipeline file; a failure with its words if it ends badly or says nothing."""
    command = [binary(), "parity", pipeline.name, "--json"]
    done = subprocess.run(command, cwd=pipeline.parent, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=SECONDS)
    (pipeline.parent / "parity.json").write_text(done.stdout)
    (pipeline.parent / "stderr.txt").write_text(done.stderr)
    try:
        found = json.loads(done.stdout)
    except ValueError:
        found = None
    if not isinstance(found, dict) or "differences" not in found:
        raise Failure(f"`millstream parity` ended with {done.returncode} and no count of differences: {done.stdout[:300]}\n{done.stderr[-2000:]}")
    if (done.returncode == 0) != (found["differences"] == 0):
        raise Failure(f"{found['differences']} differences and exit code {done.returncode}")
    return found


class Compared(unittest.TestCase):
    server: Server | GivenServer

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="millstream-parity-"))
        cls.failed = False
        cls.addClassCleanup(cls.leave)
        spark = cls.folder / "spark"
        cls.server = Server(spark, cluster=True) if options.cluster else server_for_tests(spark)
        cls.enterClassContext(cls.server)

    @classmethod
    def leave(cls) -> None:
        """Runs last: the server has ended."""
        if cls.failed:
            print(f"kept: {cls.folder}", flush=True)
        else:
            shutil.rmtree(cls.folder, ignore_errors=True)

    def compare(self, pipeline: Path, rows: int, mode: str = "direct") -> None:
        """Both engines over one pipeline: no difference, and all rows of its files seen."""
        settings = {"clean.spark.connect": f'"{self.server.address}"', "clean.spark.mode": f'"{mode}"'}
        text = adapt(pipeline.read_text(), settings)
        pipeline.write_text(text)
        began = time.monotonic()
        try:
            found = parity(pipeline)
            self.assertEqual(found["differences"], 0, json.dumps(found, indent=1, ensure_ascii=False)[:3000])
            self.assertEqual(found.get("rows"), rows, "not every row was compared")
        except BaseException:
            type(self).failed = True
            raise
        print(f"{pipeline.parent.name}: {rows} rows, {time.monotonic() - began:.1f} s", flush=True)


class Parity(Compared):
    def nasty(self, name: str, seed: int, mode: str = "direct") -> None:
        case = nasty.CASES[name](seed)
        self.compare(case.write(self.folder / f"{name}-{seed}-{mode}"), len(case.table), mode)

    def test_rows_that_are_staged(self):
        for name in options.staged:
            with self.subTest(name):
                self.nasty(name, 1, "staged")

    def test_the_taxi_example(self):
        folder = self.folder / "taxi"
        shutil.copytree(EXAMPLE, folder)
        text = (folder / "pipeline.toml").read_text()
        (folder / "pipeline.toml").write_text(adapt(text, {"server.http": '"127.0.0.1:0"', "source.watch": "false"}))
        self.compare(folder / "pipeline.toml", 108_500)

    def test_texts_become_every_type(self):
        self.nasty("texts", 1)

    def test_integers_become_every_type(self):
        self.nasty("integers", 1)

    def test_floats_and_decimals_become_every_type(self):
        self.nasty("numbers", 1)

    def test_dates_and_times_of_every_unit(self):
        self.nasty("times", 1)

    def test_times_in_nanoseconds(self):
        self.nasty("nanoseconds", 1)

    def test_times_of_day(self):
        self.nasty("clock", 1)

    def test_times_as_old_writers_store_them(self):
        self.nasty("int96", 1)

    def test_bytes_nested_types_and_columns_of_nothing(self):
        self.nasty("others", 1)

    def test_every_check_action_and_function(self):
        self.nasty("rules", options.seed)

    def test_random_rules_over_random_rows(self):
        for seed in range(options.seed, options.seed + options.seeds):
            with self.subTest(seed=seed):
                self.nasty("random", seed)


@unittest.skipUnless(DATA.is_dir(), f"{DATA} is not there")
class AllOfTheData(Compared):
    def test_every_month_of_taxi_trips(self):
        folder = self.folder / "months"
        folder.mkdir()
        text = (EXAMPLE / "pipeline.toml").read_text()
        # One of 2022 has a column without a name.
        settings = {"source.path": json.dumps(str(DATA / "nyc-taxi" / "*.parquet")), "source.watch": "false", "clean.drop": '[""]'}
        (folder / "pipeline.toml").write_text(adapt(text, settings))
        self.compare(folder / "pipeline.toml", 486_000)

    def test_flights_and_weather_by_the_rules_that_init_writes(self):
        for name, rows in [("flights", 336_776), ("weather", 26_115)]:
            with self.subTest(name):
                folder = self.folder / name
                folder.mkdir()
                command = [binary(), "init", str(DATA / "nycflights13" / f"{name}*.parquet")]
                done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.compare(folder / "pipeline.toml", rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compares the engines.")
    parser.add_argument("--seeds", type=int, default=options.seeds, help="how many random pipelines")
    parser.add_argument("--seed", type=int, default=options.seed, help="the first of them")
    parser.add_argument("--cluster", action="store_true", help="with a standalone cluster of our own")
    parser.add_argument("--staged", nargs="+", choices=nasty.CASES, default=options.staged, help="cases that are staged as well")
    _, rest = parser.parse_known_args(namespace=options)
    print(f"seed {options.seed}", flush=True)
    unittest.main(argv=[sys.argv[0], *rest])
