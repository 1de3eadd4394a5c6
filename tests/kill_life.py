"""A life of the kill test: a folder with source files and random settings, from the first start to the comparison."""

import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from compare import differences
from expected import Outcomes, compute
from kill_plan import Plan
from program import DATA_DIR, EXAMPLE, Failure, Run, adapt, registered, start, was_killed
from reader import Archive, read_archive

END_SECONDS = 180
UPKEEP = ("upkeep.", "vacuum.")
BY_HAND = {
    "upkeep.rewritten": "compact",
    "upkeep.before_commit": "compact",
    "upkeep.committed": "compact",
    "vacuum.marked": "vacuum",
    "vacuum.removed": "vacuum",
}
"""The commands that meet these fail-points."""
VERSIONS = 6
"""Of the archive, before upkeep by hand begins."""
SECRETS = {"clean.spark.connect"}
"""Settings that are not printed: a server that is given may want a token."""
# A stop asked for by a signal: drained (0), or ended by it before the source was at its end.
SIGNAL_CODES = {signal.SIGINT: {0, 130}, signal.SIGTERM: {0, 143}}


@dataclass
class Life:
    """One folder with its files and settings; here with the log in the program itself."""

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
        self._plant()
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
        self._write_pipeline((EXAMPLE / "pipeline.toml").read_text(), settings)
        if at_once < len(self.files):
            pauses = [rng.uniform(0, 2.0) for _ in self.files[at_once:]]
            self.arriving = threading.Thread(target=self._arrive, args=(self.files[at_once:], pauses))
            self.arriving.start()
        chosen = ", ".join(f"{name.split('.', 1)[1]} {value}" for name, value in settings.items() if name not in SECRETS)
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
            "archive.commit_bytes": rng.choice(['"64KiB"', '"128MiB"']),
            "archive.commit_interval": rng.choice(['"50ms"', '"200ms"', '"1s"']),
            "archive.partition_by": rng.choice(['"month"', '"none"']),
            # Upkeep comes in every life, and files that it replaced go within it.
            "archive.history": '"1s"',
            "archive.checkpoint_versions": rng.choice(["2", "3"]),
            "limits.query_timeout": '"500ms"',
            "server.http": '"127.0.0.1:0"',
        }

    def _write_pipeline(self, example: str, settings: dict[str, str]) -> None:
        (self.folder / "pipeline.toml").write_text(adapt(example, settings))

    def _plant(self, name: str = "left.parquet") -> None:
        """A file of a writer that was killed long ago, which vacuum is to find."""
        path = self._archive() / "rows" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"never committed")
        then = time.time() - 30 * 3600
        os.utime(path, (then, then))

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
        arguments = ["run", "pipeline.toml", "--until-done", "--json"]
        self.current = start(self.folder, *arguments, environment=armed(plan))
        return self.current

    def kill(self, plan: Plan) -> bool:
        """One process under `plan`; whether the plan came true before the process was done."""
        if plan.failpoint.startswith(UPKEEP):
            return self._dies_in_upkeep(plan)
        run = self.start(plan)
        if plan.kind == "failpoint":
            return self._dies_at_failpoint(run, plan)
        code = self._until_moment(run)
        if code is not None:
            if code != 0:
                raise Failure(f"exit code {code} without being asked to stop")
            self.run_seconds = max(0.3, run.seconds)
            return False
        return self._kinds()[plan.kind](run, plan)

    def _until_moment(self, run: Run) -> int | None:
        """Waits until a random moment; the exit code if it ended before."""
        return run.wait(self.rng.uniform(0, self.run_seconds))

    def _kinds(self) -> dict[str, Callable[[Run, Plan], bool]]:
        """What is done for each kind of kill to a process that runs."""
        return {"moment": self._kill_now, "signal": self._signal}

    def _kill_now(self, run: Run, _: Plan) -> bool:
        return was_killed(run.kill())

    def _dies_at_failpoint(self, run: Run, plan: Plan) -> bool:
        code = self._ended(run)
        if not was_killed(code) and code != 0:
            raise Failure(f"exit code {code} under fail-point {plan}")
        return was_killed(code)

    def _dies_in_upkeep(self, plan: Plan) -> bool:
        """Upkeep by hand dies beside a program that goes on; what only the program itself does, it does at its next start."""
        # Not often is there enough to do for more.
        plan.hit = 1
        run = self.start()
        log = self._archive() / "rows" / "_delta_log"
        deadline = time.monotonic() + END_SECONDS
        while run.process.poll() is None and len(list(log.glob("*.json"))) < VERSIONS and time.monotonic() < deadline:
            time.sleep(0.02)
        command = BY_HAND.get(plan.failpoint)
        if command is None:
            # The log's entries are past the history then.
            run.wait(1.2)
            run.kill()
            return self._dies_at_failpoint(self.start(plan), plan)
        if command == "vacuum":
            # The one that was there from the beginning may be gone, and the program would take this one, too.
            run.kill()
            self._plant(f"left-{time.monotonic_ns()}.parquet")
        hand = start(self.folder, command, "pipeline.toml", environment=armed(plan), name="hand")
        code = self._ended(hand)
        run.kill()
        if not was_killed(code) and code != 0:
            raise Failure(f"exit code {code} of `{command}` under fail-point {plan}")
        return was_killed(code)

    def _signal(self, run: Run, plan: Plan) -> bool:
        # A signal that comes before its handler is set ends the process by itself.
        early = set() if registered(self.folder, run) else {-plan.sent, 1}
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

    def _goes_on(self, run: Run, plan: Plan) -> bool:
        """The program that lived on ends by itself, all done."""
        code = self._ended(run)
        if code != 0:
            raise Failure(f"exit code {code} after {plan}, which it should outlive")
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
        self._finish()
        outcomes = self._outcomes()
        archive = self._read()
        if found := differences(archive, outcomes, self.by_month) + self._more_differences(outcomes):
            raise Failure("\n  ".join(["what came out is not what it must be:", *found]))
        self._verify()
        self._clear()
        return (
            f"{outcomes.delivered.num_rows:,} delivered, {outcomes.rejected.num_rows:,} rejected, "
            f"{outcomes.duplicate.num_rows:,} duplicates in {archive.rows.commits} versions"
        )

    def _finish(self) -> None:
        """The last process, undisturbed."""
        code = self._ended(self.start())
        if code != 0:
            raise Failure(f"exit code {code} of the last, undisturbed run")

    def _outcomes(self) -> Outcomes:
        return compute(self.files, EXAMPLE)

    def _more_differences(self, outcomes: Outcomes) -> list[str]:
        """What is wrong elsewhere than in the archive, in words."""
        return []

    def _clear(self) -> None:
        """Takes away what a life that went well has left outside of its folder."""

    def _read(self) -> Archive:
        return read_archive(self._archive())

    def _archive(self) -> Path:
        return self.folder / DATA_DIR / "archive"

    def _verify(self) -> None:
        """The program's own recount must agree, too."""
        code = self._ended(start(self.folder, "verify", "pipeline.toml"))
        if code != 0:
            raise Failure(f"`verify` ended with {code}, although the archive is what it must be")

    def logs(self) -> list[Path]:
        """What the processes of this life said."""
        return sorted(self.folder.glob("*stderr.txt"))

    def release(self) -> None:
        """Ends what still runs."""
        if self.current is not None and self.current.process.poll() is None:
            self.current.kill()
        self.all_arrived()


def armed(plan: Plan | None) -> dict[str, str]:
    """The environment under which a process dies at the plan's fail-point."""
    if plan is None or plan.kind != "failpoint":
        return {}
    return {"MILLSTREAM_FAILPOINT": f"{plan.failpoint}:{plan.hit}"}
