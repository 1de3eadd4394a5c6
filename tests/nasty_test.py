"""The program takes every pipeline that the generator makes, and cleans its table to the end by itself.

    PYTHONPATH=tests python tests/nasty_test.py [--seeds N] [--seed FIRST]
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import nasty
from program import binary

SECONDS = 120
options = argparse.Namespace(seeds=5, seed=random.SystemRandom().randrange(1_000_000))


class Nasty(unittest.TestCase):
    def clean(self, name: str, seed: int) -> None:
        """`check` finds no mistake, and `run` leaves no row without an outcome."""
        case = nasty.CASES[name](seed)
        with tempfile.TemporaryDirectory(prefix="millstream-nasty-") as folder:
            pipeline = case.write(Path(folder))
            for command in [["check"], ["run", "--until-done", "--json"]]:
                done = subprocess.run([binary(), *command, pipeline], capture_output=True, text=True, timeout=SECONDS)
                self.assertEqual(done.returncode, 0, f"{command[0]}, seed {seed}: {done.stderr[-1500:]}")
            ledger = json.loads(done.stdout)["ledger"]
        self.assertTrue(ledger["balanced"])
        total = ledger["total"]
        self.assertEqual(total["delivered"] + total["rejected"] + total["filtered"], len(case.table), f"seed {seed}: {total}")
        self.assertGreater(total["delivered"], 0, f"seed {seed}: nothing is left to compare")

    def test_every_type_becomes_every_other(self):
        for name in ["texts", "integers", "numbers", "times", "nanoseconds", "clock", "int96", "others"]:
            with self.subTest(name):
                self.clean(name, 1)

    def test_random_rules(self):
        for seed in range(options.seed, options.seed + options.seeds):
            for name in ["rules", "random"]:
                with self.subTest(name, seed=seed):
                    self.clean(name, seed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Cleans nasty tables.")
    parser.add_argument("--seeds", type=int, default=options.seeds, help="how many random pipelines")
    parser.add_argument("--seed", type=int, default=options.seed, help="the first of them")
    _, rest = parser.parse_known_args(namespace=options)
    print(f"seed {options.seed}", flush=True)
    unittest.main(argv=[sys.argv[0], *rest])
