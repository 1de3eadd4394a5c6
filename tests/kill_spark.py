"""A life of the kill test with Spark as the engine: also the server dies and is started again, or does nothing for a while.

One server for all lives of a run; the log is in the program, or in Kafka.
"""

import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from expected import Outcomes
from kafka_life import KafkaLife
from kill_life import END_SECONDS, Life
from kill_plan import Plan
from program import DATA_DIR, Run, registered, wait_until
from spark import GivenServer, Server

SHARES = {"failpoint": 3, "moment": 2, "signal": 1, "spark": 3, "spark sleeps": 1}
"""How often each kind of kill is dealt."""
OF_THE_SERVER = ("spark", "spark sleeps")
AWAY_SECONDS = 3.0
"""A server that was killed is started again after this time at the latest; starting takes some seconds more."""
RUN_SECONDS = 8.0
"""Of a process that is not disturbed, its server awake and warm."""
FIRST_QUERY_SECONDS = 3.0
"""How long after its start a process has its first rows, more or less."""
SLEEP_SECONDS = (0.5, 6.0)
TROUBLE = "Spark did not clean"
"""What the program says of a query that it asks again."""


@dataclass(kw_only=True)
class OnSpark:
    """What a life has besides when Spark cleans."""

    spark: Server | GivenServer

    def _settings(self, arrives: bool) -> dict[str, str]:
        settings = super()._settings(arrives) | {"clean.spark.connect": f'"{self.spark.address}"'}
        if self.rng.random() < 0.3:
            settings["clean.spark.mode"] = '"staged"'
        elif self.rng.random() < 0.4:
            # Less than a file of the example has.
            settings["clean.spark.direct_bytes"] = '"1MiB"'
        return settings

    def _kinds(self) -> dict[str, Callable[[Run, Plan], bool]]:
        return super()._kinds() | {"spark": self._kill_spark, "spark sleeps": self._spark_sleeps}

    def kill(self, plan: Plan) -> bool:
        if plan.kind not in OF_THE_SERVER:
            return super().kill(plan)
        run = self.start(plan)
        # Queries run from here on, for a second or two.
        wait_until(lambda: run.process.poll() is not None or registered(self.folder, run), END_SECONDS, "started")
        if run.wait(self.rng.uniform(0, FIRST_QUERY_SECONDS)) is not None:
            return self._goes_on(run, plan) and False
        return self._kinds()[plan.kind](run, plan)

    def _kill_spark(self, run: Run, plan: Plan) -> bool:
        """The server dies, or is told to end, and comes back; the program goes on by itself, unless it is killed meanwhile, too."""
        seconds, is_told = self.rng.uniform(0, AWAY_SECONDS), self.rng.random() < 0.3
        plan.detail = f"{'told to end' if is_told else 'killed'}, for {seconds:.1f} s"
        said = run.log.read_text().count(TROUBLE)
        if is_told:
            self.spark.stop()
        else:
            self.spark.kill()
        try:
            run.wait(seconds)
            dies = self.rng.random() < 0.2 and run.process.poll() is None
            if dies:
                plan.detail += ", then SIGKILL"
                run.kill()
        finally:
            self.spark.start()
        return dies or self._outlives(run, plan, said)

    def _spark_sleeps(self, run: Run, plan: Plan) -> bool:
        """Nobody answers, and no connection ends."""
        seconds = self.rng.uniform(*SLEEP_SECONDS)
        plan.detail = f"{seconds:.1f} s"
        said = run.log.read_text().count(TROUBLE)
        with self._asleep():
            time.sleep(seconds)
        return self._outlives(run, plan, said)

    @contextmanager
    def _asleep(self):
        self.spark.pause()
        try:
            yield
        finally:
            self.spark.resume()

    def _outlives(self, run: Run, plan: Plan, said: int) -> bool:
        self._goes_on(run, plan)
        if run.log.read_text().count(TROUBLE) > said:
            plan.detail += ", noticed"
        return True

    def _more_differences(self, outcomes: Outcomes) -> list[str]:
        return super()._more_differences(outcomes) + left_behind(self.folder / DATA_DIR)


@dataclass(kw_only=True)
class SparkLife(OnSpark, Life):
    """Spark cleans, the log is in the program."""


@dataclass(kw_only=True)
class KafkaSparkLife(OnSpark, KafkaLife):
    """Spark cleans, the log is in Kafka."""

    def _settings(self, arrives: bool) -> dict[str, str]:
        settings = super()._settings(arrives)
        self.flow_seconds += FIRST_QUERY_SECONDS
        return settings


def left_behind(data_dir: Path) -> list[str]:
    """Files of cleaned rows on their way, which must be gone in the end, in words."""
    found = [path for name in ("spool", "staging") for path in (data_dir / name).rglob("*") if path.is_file()]
    return [f"left behind: {len(found)} files, such as {found[0].relative_to(data_dir)}"] if found else []
