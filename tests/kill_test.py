"""Kills the program again and again and compares what is archived in the end with what must be there.

A life: a fresh folder with some of the taxi example's files and random settings; the program is started, killed (at a
named fail-point, at a random moment, or told to stop by a signal), started again, a few times over; then it is let end.
The independent reader reads the archive, and every row of the files must be where the second computation says: once in
the archive or once in rejects, with these values, duplicates and filtered rows nowhere.

A round is one kill. `--seed` repeats the choices of a run; moments in time stay as random as they are.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from compare import differences
from expected import compute
from program import EXAMPLE, Failure, Run, adapt, binary, failpoints, registered, start, tail, was_killed
from reader import Inconsistent, read_archive

END_SECONDS = 180
# A stop asked for by a signal: drained (0), or ended by it before the source was at its end.
SIGNAL_CODES = {signal.SIGINT: {0, 130}, signal.SIGTERM: {0, 143}}


@dataclass
class Plan:
    """What happens to one process."""

    kind: str
    """`failpoint`, `moment` or `signal`."""
    failpoint: str = ""
    hit: int = 1
    sent: signal.Signals = signal.SIGKILL
    twice: bool = False

    def __str__(self) -> str:
        if self.kind == "failpoint":
            return f"{self.failpoint}:{self.hit}"
        return "SIGKILL" if self.kind == "moment" else self.sent.name + (" twice" if self.twice else "")


class Schedule:
    """Deals out the kills: each fail-point in turn, random moments and signals between them.

    A fail-point that was not reached is tried once more at its first hit in a fresh life, and then counts as unreachable.
    """

    def __init__(self, names: list[str], rng: random.Random, only: str | None):
        self.names = names
        self.rng = rng
        self.only = only
        self.queue: list[str] = []
        self.again: list[str] = []
        self.killed = dict.fromkeys(names, 0)
        self.unreached: set[str] = set()
        self.run_seconds = 2.5
        """How long an undisturbed process took lately: random moments lie within it."""

    def next(self, fresh: bool) -> Plan:
        """The next kill; `fresh`: for the first process of a life."""
        if self.only:
            return Plan("failpoint", self.only, self.rng.choice([1, 1, 2, 5]))
        if fresh and self.again:
            return Plan("failpoint", self.again.pop(0), 1)
        dice = self.rng.random()
        if dice < 0.25:
            return Plan("moment")
        if dice < 0.35:
            chosen = self.rng.choice([signal.SIGTERM, signal.SIGINT])
            return Plan("signal", sent=chosen, twice=self.rng.random() < 0.3)
        if not self.queue:
            self.queue = [name for name in self.names if name not in self.unreached]
            self.rng.shuffle(self.queue)
        if not self.queue:
            return Plan("moment")
        return Plan("failpoint", self.queue.pop(), self.rng.choice([1, 1, 2, 3, self.rng.randint(4, 25)]))

    def reached(self, plan: Plan) -> None:
        self.killed[plan.failpoint] = self.killed.get(plan.failpoint, 0) + 1

    def missed(self, plan: Plan, fresh: bool) -> None:
        """The process ended before the fail-point was hit that often."""
        if self.killed.get(plan.failpoint):
            return
        if fresh and plan.hit == 1:
            self.unreached.add(plan.failpoint)
        elif plan.failpoint not in self.again:
            self.again.append(plan.failpoint)


@dataclass
class Life:
    """One folder with its files and settings, from the first start to the comparison."""

    number: int
    rng: random.Random
    folder: Path
    by_month: bool = True
    run_seconds: float = 2.5
    arriving: threading.Thread | None = None
    files: list[Path] = field(default_factory=list)
    current: Run | None = None
    """The process that runs, if one does."""

    def prepare(self) -> str:
        """Writes pipeline file and source files; returns what was chosen, in words."""
        rng, data = self.rng, self.folder / "data"
        data.mkdir(parents=True)
        every = sorted((EXAMPLE / "data").glob("*.parquet"))
        repeated = [path for path in every if "2019-01" in path.name] if rng.random() < 0.6 else []
        others = [path for path in every if path not in repeated]
        self.files = sorted(repeated + rng.sample(others, rng.randint(1, 2)))
        arrives = rng.random() < 0.4
        at_once = rng.randint(1, len(self.files)) if arrives else len(self.files)
        for path in self.files[:at_once]:
            self._put(path)
        settings = self._settings(arrives)
        self.by_month = settings["archive.partition_by"] == '"month"'
        (self.folder / "pipeline.toml").write_text(adapt((EXAMPLE / "pipeline.toml").read_text(), settings))
        if at_once < len(self.files):
            pauses = [rng.uniform(0, 2.0) for _ in self.files[at_once:]]
            self.arriving = threading.Thread(target=self._arrive, args=(self.files[at_once:], pauses))
            self.arriving.start()
        chosen = ", ".join(f"{name.split('.')[1]} {value}" for name, value in settings.items())
        return f"{len(self.files)} files ({len(self.files) - at_once} arrive later), {chosen}"

    def _settings(self, arrives: bool) -> dict[str, str]:
        rng = self.rng
        return {
            "source.watch": "true" if arrives else "false",
            "source.pace": rng.choice(['"max"', '"max"', '"20000 rows/s"', '"8000 rows/s"']),
            "source.parallel_splits": rng.choice(["1", "2", "4"]),
            "stream.partitions": rng.choice(["1", "2", "3"]),
            "stream.batch_rows": rng.choice(["200", "500", "2000"]),
            "stream.flush_interval": rng.choice(['"2ms"', '"10ms"', '"50ms"']),
            "stream.retention": rng.choice(['"100ms"', '"1h"']),
            "archive.commit_interval": rng.choice(['"50ms"', '"200ms"', '"1s"']),
            "archive.partition_by": rng.choice(['"month"', '"none"']),
            "server.http": '"127.0.0.1:0"',
        }

    def _put(self, path: Path) -> None:
        """Copies a source file to its place in one step."""
        hidden = self.folder / "data" / f".{path.name}.arriving"
        shutil.copyfile(path, hidden)
        hidden.rename(self.folder / "data" / path.name)

    def _arrive(self, files: list[Path], pauses: list[float]) -> None:
        for path, pause in zip(files, pauses):
            time.sleep(pause)
            self._put(path)

    def complete(self) -> bool:
        """Whether no further file will arrive, so that a process that ended by itself has left nothing to do."""
        return self.arriving is None or not self.arriving.is_alive()

    def all_arrived(self) -> None:
        """Waits until every source file is in its place."""
        if self.arriving is not None:
            self.arriving.join()

    def start(self, plan: Plan | None = None) -> Run:
        environment = {}
        if plan is not None and plan.kind == "failpoint":
            environment["MILLSTREAM_FAILPOINT"] = f"{plan.failpoint}:{plan.hit}"
        arguments = ["run", "pipeline.toml", "--until-done", "--json"]
        self.current = start(self.folder, *arguments, environment=environment)
        return self.current

    def kill(self, plan: Plan) -> bool:
        """One process under `plan`; whether the plan came true before the process was done."""
        run = self.start(plan)
        if plan.kind == "failpoint":
            code = self._ended(run)
            if not was_killed(code) and code != 0:
                raise Failure(f"exit code {code} under fail-point {plan}")
            return was_killed(code)
        code = run.wait(self.rng.uniform(0, self.run_seconds))
        if code is not None:
            if code != 0:
                raise Failure(f"exit code {code} without being asked to stop")
            self.run_seconds = max(0.3, run.seconds)
            return False
        if plan.kind == "moment":
            return was_killed(run.kill())
        return self._signal(run, plan)

    def _signal(self, run: Run, plan: Plan) -> bool:
        # A signal that comes before its handler is set ends the process by itself.
        early = set() if registered(self.folder, run) else {-plan.sent}
        run.process.send_signal(plan.sent)
        if plan.twice:
            run.wait(self.rng.uniform(0, 0.3))
            run.process.send_signal(plan.sent)
        code = self._ended(run)
        allowed = SIGNAL_CODES[plan.sent] | early
        if plan.twice:
            allowed |= {130, 143}
        if code not in allowed:
            raise Failure(f"exit code {code} after {plan}, expected one of {sorted(allowed)}")
        return True

    def _ended(self, run: Run) -> int:
        code = run.wait(END_SECONDS)
        if code is None:
            run.kill()
            raise Failure(f"did not end in {END_SECONDS} s")
        return code

    def end(self) -> str:
        """Lets the program end by itself and compares; returns what was compared, in words."""
        self.all_arrived()
        run = self.start()
        code = self._ended(run)
        if code != 0:
            raise Failure(f"exit code {code} of the last, undisturbed run")
        outcomes = compute(self.files, EXAMPLE)
        archive = read_archive(self.folder / "millstream-data" / "archive")
        if found := differences(archive, outcomes, self.by_month):
            raise Failure("\n  ".join(["the archive is not what it must be:", *found]))
        self._verify()
        return (
            f"{outcomes.delivered.num_rows:,} delivered, {outcomes.rejected.num_rows:,} rejected, "
            f"{outcomes.duplicate.num_rows:,} duplicates in {archive.rows.commits} versions"
        )

    def _verify(self) -> None:
        """The program's own recount must agree, too."""
        code = self._ended(start(self.folder, "verify", "pipeline.toml"))
        if code != 0:
            raise Failure(f"`verify` ended with {code}, although the archive is what it must be")

    def release(self) -> None:
        """Ends what still runs."""
        if self.current is not None and self.current.process.poll() is None:
            self.current.kill()
        self.all_arrived()


def live(number: int, seed: int, schedule: Schedule, rounds: int, base: Path) -> tuple[int, str]:
    """One life with at most `rounds` kills; returns the kills and a line about it, raises `Failure`."""
    rng = random.Random(f"{seed}/{number}")
    life = Life(number, rng, base / f"life-{number}", run_seconds=schedule.run_seconds)
    kills = []
    try:
        chosen = life.prepare()
        print(f"life {number}: {chosen}", flush=True)
        for turn in range(min(rounds, rng.randint(2, 6))):
            plan = schedule.next(fresh=turn == 0)
            true = life.kill(plan)
            if plan.kind == "failpoint":
                schedule.reached(plan) if true else schedule.missed(plan, fresh=turn == 0)
            if true:
                kills.append(str(plan))
            elif life.complete():
                break
        schedule.run_seconds = life.run_seconds
        compared = life.end()
    except (Failure, Inconsistent) as failure:
        log = tail(life.folder / "stderr.txt")
        raise Failure(
            f"{failure}\n  life {number} of seed {seed}, after kills [{', '.join(kills)}]\n"
            f"  kept: {life.folder}\n  last lines of its log:\n{log}"
        ) from failure
    finally:
        life.release()
    shutil.rmtree(life.folder)
    return len(kills), f"  killed {len(kills)} times [{', '.join(kills)}]: {compared}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=36, help="kills in all (default 36)")
    parser.add_argument("--seed", type=int, help="repeats the choices of an earlier run")
    parser.add_argument("--failpoint", help="kill at this fail-point only")
    parser.add_argument("--seconds", type=float, help="begin no new life after this time")
    parser.add_argument("--dir", type=Path, help="where the work folder is made (default: the temporary folder)")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    print(f"kill test of {binary()}: {options.rounds} rounds, --seed {seed}", flush=True)
    base = Path(tempfile.mkdtemp(prefix="millstream-kill-", dir=options.dir))
    began, done, number, failed = time.monotonic(), 0, 0, []
    try:
        schedule = Schedule(failpoints(), random.Random(seed), options.failpoint)
        # Lives without a single kill must not make it endless.
        while done < options.rounds and number < options.rounds * 2:
            if options.seconds is not None and time.monotonic() - began > options.seconds:
                print(f"time is up after {done} of {options.rounds} rounds", flush=True)
                break
            number += 1
            kills, line = live(number, seed, schedule, options.rounds - done, base)
            done += kills
            print(line, flush=True)
    except Failure as failure:
        failed.append(str(failure))
    if not failed:
        shutil.rmtree(base)
        counts = ", ".join(f"{name} {count}" for name, count in schedule.killed.items() if count)
        print(f"kills by fail-point: {counts}")
        if schedule.unreached:
            failed.append(f"fail-points that were never reached: {', '.join(sorted(schedule.unreached))}")
    for text in failed:
        print(f"FAILED: {text}")
    print(f"kill test: {done} rounds in {number} lives, {time.monotonic() - began:.0f} s, --seed {seed}")
    print(f"{done} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
