"""A life of the kill test with the stages apart: two publishers share the files, receivers come and go, one archive, one page.

While rows flow, publishers and receivers are killed, told to leave, or sleep past their time-outs while another process
takes their place; when they wake up, what they believe is theirs no longer is. The page is asked meanwhile whether it has each
row once, and in the end whether its ledger says what must be there.
"""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from expected import FILE, OFF, Outcomes, compute
from kafka_life import TIMEOUT_SECONDS, KafkaLife
from kill_life import END_SECONDS, armed
from kill_plan import Plan
from program import (
    EXAMPLE,
    Failure,
    Run,
    adapt,
    address,
    get_json,
    query,
    registered,
    start,
    wait_until,
    was_killed,
    without,
)
from reader.delta import count_rows

SHARES = {
    "failpoint": 2,
    "publisher": 1,
    "receiver": 1,
    "join": 1,
    "leave": 1,
    "zombie receiver": 1,
    "zombie publisher": 1,
    "more or fewer": 1,
    "page": 1,
    "broker": 1,
}
MOST_PUBLISHERS = 3
MOST_RECEIVERS = 4
MOVING = "kafka.moving"
"""The fail-point that is reached when the number of publishers changes."""
RECEIVING = ("receive.", "archive.")
"""What the fail-points of receivers begin with."""
ROWS_AND_DISTINCT_ROWS = """\
SELECT sum(times), count(*) FROM (SELECT count(*) AS times FROM events GROUP BY _file, _row)"""


@dataclass
class Stage:
    """A process that does one stage."""

    name: str
    """Of its pipeline file, its data folder and its log."""
    run: Run

    @property
    def runs(self) -> bool:
        return self.run.process.poll() is None


@dataclass(kw_only=True)
class ApartLife(KafkaLife):
    """Publishers and receivers as processes of their own, each with a data folder of its own."""

    dedup: str = OFF
    text: str = ""
    """Of the pipeline file, but for the data folder."""
    count: int = 2
    """How many publishers share the files."""
    publishers: dict[int, Stage] = field(default_factory=dict)
    receivers: list[Stage] = field(default_factory=list)
    zombies: list[Stage] = field(default_factory=list)
    page: Stage | None = None
    started: int = 0

    def _settings(self, arrives: bool) -> dict[str, str]:
        settings = super()._settings(arrives)
        # Slow enough that rows flow while things happen.
        settings["source.pace"] = self.rng.choice(['"800 rows/s"', '"1500 rows/s"', '"3000 rows/s"'])
        settings["archive.path"] = '"./archive"'
        return settings

    def _write_pipeline(self, example: str, settings: dict[str, str]) -> None:
        # Repeats in other files are beyond a publisher that has only some of the files.
        self.dedup = self.rng.choice([OFF, FILE])
        if self.dedup == OFF:
            example = without(example, "clean.dedup")
        else:
            example = adapt(example, {"clean.dedup.within": '"file"'})
        self.text = adapt(example, settings)

    @cached_property
    def _expected(self) -> Outcomes:
        return compute(self.files, EXAMPLE, self.dedup)

    def _outcomes(self) -> Outcomes:
        return self._expected

    def _archive(self) -> Path:
        return self.folder / "archive"

    def _begin(self) -> None:
        if not self.publishers:
            for number in range(self.count):
                self._publish(number)
            for _ in range(self.rng.randint(2, 3)):
                self._receive()
            self.page = self._start("page", ["serve"], None)
            if self.rng.random() < 0.8:
                wait_until(self._all_started, END_SECONDS, "publishers and receivers started")

    def _all_started(self) -> bool:
        self._check()
        stages = [*self.publishers.values(), *self.receivers, self.page]
        return all(not stage.runs or registered(self.folder, stage.run, stage.name) for stage in stages)

    def _publish(self, number: int, plan: Plan | None = None, name: str = "") -> Stage:
        """Starts a publisher in the place of the one with that number, by default in the same folder."""
        arguments = ["publish", "--publisher", f"{number}/{self.count}", "--until-done", "--json"]
        self.publishers[number] = self._start(name or f"publisher-{number}", arguments, plan)
        return self.publishers[number]

    def _receive(self, plan: Plan | None = None, name: str = "") -> Stage:
        """Starts one more receiver, by default with an empty folder."""
        stage = self._start(name or self._new_name("receiver"), ["receive", "--json"], plan)
        self.receivers.append(stage)
        return stage

    def _new_name(self, kind: str) -> str:
        self.started += 1
        return f"{kind}-{self.started}"

    def _start(self, name: str, arguments: list[str], plan: Plan | None) -> Stage:
        file = self.folder / f"{name}.toml"
        file.write_text(adapt(self.text, {"pipeline.data_dir": f'"./{name}"'}))
        command, *options = arguments
        return Stage(name, start(self.folder, command, file.name, *options, environment=armed(plan), name=name))

    def kill(self, plan: Plan) -> bool:
        self._begin()
        until = time.monotonic() + self.rng.uniform(0, 1.5)
        while time.monotonic() < until and not self._published():
            time.sleep(0.05)
        self._check()
        if self._published():
            return False
        return self._events()[plan.kind](plan)

    def _events(self) -> dict[str, Callable[[Plan], bool]]:
        return {
            "failpoint": self._failpoint,
            "publisher": self._kill_publisher,
            "receiver": self._kill_receiver,
            "join": self._join,
            "leave": self._leave,
            "zombie receiver": self._zombie_receiver,
            "zombie publisher": self._zombie_publisher,
            "more or fewer": self._other_count,
            "page": self._kill_page,
            "broker": self._broker,
        }

    def complete(self) -> bool:
        return self._published()

    def _published(self) -> bool:
        """Whether every publisher is done with every file."""
        return super().complete() and not any(stage.runs for stage in self.publishers.values())

    def _check(self) -> None:
        """Nobody has ended who should not have."""
        for stage in self.publishers.values():
            if stage.run.process.poll() not in (None, 0):
                raise Failure(f"{stage.name} ended with {stage.run.process.returncode} by itself")
        for stage in [*self.receivers, self.page]:
            if not stage.runs:
                raise Failure(f"{stage.name} ended with {stage.run.process.returncode} by itself")

    def _running_publisher(self) -> int:
        return self.rng.choice([number for number, stage in self.publishers.items() if stage.runs])

    def _failpoint(self, plan: Plan) -> bool:
        """A process dies at a fail-point: a receiver that joins, or a publisher that is started again."""
        if plan.failpoint.startswith(RECEIVING):
            stage = self._receive(plan)
            ended = self._dies(stage, or_until=self._archived_all)
            if ended:
                self.receivers.remove(stage)
            return ended
        if plan.failpoint == MOVING:
            return self._dies_moving(plan)
        number = self._running_publisher()
        name = self.publishers[number].name
        self.publishers[number].run.kill()
        stage = self._publish(number, plan, name)
        died = self._dies(stage, or_until=lambda: not stage.runs)
        if died:
            self._publish(number, name=name)
        return died

    def _dies_moving(self, plan: Plan) -> bool:
        """The number of publishers changes, and the first of the new ones dies over it."""
        self._end_publishers()
        self.publishers, self.count = {}, self._another_count()
        stage = self._publish(0, plan, self._new_name("publisher-0"))
        died = self._dies(stage, or_until=lambda: not stage.runs)
        for number in range(0 if died else 1, self.count):
            self._publish(number, name=self._new_name(f"publisher-{number}"))
        return died

    def _dies(self, stage: Stage, or_until: Callable[[], bool]) -> bool:
        """Waits until it was killed by its fail-point, or that cannot be expected any more."""
        wait_until(lambda: not stage.runs or or_until(), END_SECONDS, f"{stage.name} at its fail-point", every=0.2)
        code = stage.run.process.poll()
        if code is not None and code != 0 and not was_killed(code):
            raise Failure(f"{stage.name} ended with {code} instead of dying at its fail-point")
        return code is not None and was_killed(code)

    def _kill_publisher(self, plan: Plan) -> bool:
        number = self._running_publisher()
        stage = self.publishers[number]
        plan.detail = str(number)
        stage.run.kill()
        time.sleep(self.rng.uniform(0, 1))
        self._publish(number, name=stage.name)
        return True

    def _kill_receiver(self, plan: Plan) -> bool:
        stage = self.rng.choice(self.receivers)
        self.receivers.remove(stage)
        stage.run.kill()
        if not self.receivers or self.rng.random() < 0.7:
            same = self.rng.random() < 0.5
            plan.detail = "started again" if same else "replaced"
            time.sleep(self.rng.uniform(0, 1))
            self._receive(name=stage.name if same else "")
        return True

    def _join(self, plan: Plan) -> bool:
        if len(self.receivers) >= MOST_RECEIVERS:
            return self._leave(plan)
        plan.detail = self._receive().name
        return True

    def _leave(self, plan: Plan) -> bool:
        if len(self.receivers) == 1:
            self._receive()
        stage = self.rng.choice(self.receivers)
        plan.detail = stage.name
        self._stop_receiver(stage)
        return True

    def _stop_receiver(self, stage: Stage) -> None:
        self.receivers.remove(stage)
        # A signal that comes before its handler is set ends the process by itself.
        allowed = {0} if registered(self.folder, stage.run, stage.name) else {0, -signal.SIGTERM}
        stage.run.process.send_signal(signal.SIGTERM)
        code = self._ended(stage.run)
        if code not in allowed:
            raise Failure(f"{stage.name} ended with {code} after SIGTERM")

    def _zombie_receiver(self, plan: Plan) -> bool:
        """Its partitions go to others while it sleeps; it must not commit rows of them when it wakes up."""
        stage = self.rng.choice(self.receivers)
        plan.detail = stage.name
        if len(self.receivers) < MOST_RECEIVERS:
            self._receive()
        self._sleep(stage.run, plan)
        return True

    def _zombie_publisher(self, plan: Plan) -> bool:
        """Another process with its number has fenced it when it wakes up: it must end, and say why."""
        number = self._running_publisher()
        zombie = self.publishers[number]
        plan.detail = str(number)
        # One that sleeps while it starts is a later starter than its replacement, and rightly takes its place.
        self._await_start(zombie)
        self.zombies.append(zombie)
        zombie.run.pause()
        self._publish(number, name=self._new_name(f"publisher-{number}"))
        time.sleep(TIMEOUT_SECONDS + self.rng.uniform(1, 3))
        zombie.run.go_on()
        code = self._ended(zombie.run)
        if code not in (0, 2):
            raise Failure(f"{zombie.name} ended with {code} although another publisher {number} had been started")
        return True

    def _await_start(self, stage: Stage) -> None:
        wait_until(
            lambda: registered(self.folder, stage.run, stage.name) or not stage.runs, END_SECONDS, f"{stage.name} publishes"
        )

    def _another_count(self) -> int:
        # Fewer are refused while a file is half published whose keys only its publisher knows.
        counts = [count for count in range(1, MOST_PUBLISHERS + 1) if count != self.count]
        return self.rng.choice([count for count in counts if self.dedup == OFF or count > self.count] or [self.count])

    def _end_publishers(self) -> None:
        for stage in self.publishers.values():
            stage.run.kill()

    def _other_count(self, plan: Plan) -> bool:
        """Other publishers, more or fewer, share the files from now on; those before them may still be at work."""
        before, count = self.publishers, self._another_count()
        plan.detail = f"{len(before)} to {count}"
        if self.rng.random() < 0.5:
            self._end_publishers()
            plan.detail += ", the old ones killed"
        for stage in before.values():
            # One that still starts wants its own number, and is no earlier than the others.
            self._await_start(stage)
        self.zombies += before.values()
        self.publishers, self.count = {}, count
        for number in range(count):
            self._publish(number, name=self._new_name(f"publisher-{number}"))
        for stage in before.values():
            code = self._ended(stage.run)
            if code not in (0, 2) and not was_killed(code):
                raise Failure(f"{stage.name} ended with {code} although {count} other publishers had been started")
        return True

    def _kill_page(self, plan: Plan) -> bool:
        """It has every row once, before and after."""
        plan.detail = f"{self._rows_on_page()} rows on it"
        self.page.run.kill()
        self.page = self._start("page", ["serve"], None)
        self._rows_on_page()
        return True

    def _rows_on_page(self) -> int:
        """As many as are in `events`, which is none twice."""
        [[rows, distinct]] = query(self._url(self.page), ROWS_AND_DISTINCT_ROWS)
        rows = rows or 0
        if rows != distinct:
            raise Failure(f"`events` of {self.page.name} has {rows} rows, of which {distinct} are distinct")
        return rows

    def _url(self, stage: Stage) -> str:
        return address(self.folder, stage.run, data_dir=stage.name)

    def _broker(self, plan: Plan) -> bool:
        with self._broker_away(plan) as seconds:
            time.sleep(seconds)
        return True

    def _finish(self) -> None:
        """Publishers end by themselves, receivers when all is archived and they are told to."""
        self._begin()
        for number, stage in list(self.publishers.items()):
            if not stage.runs:
                self._publish(number, name=stage.name)
        for stage in self.publishers.values():
            code = self._ended(stage.run)
            if code != 0:
                raise Failure(f"{stage.name} ended with {code} in the end")
        wait_until(self._archived_all, END_SECONDS, "all rows archived", every=0.2)
        self._check()
        for stage in [self.page, self.receivers[0]]:
            self._await_ledger(stage)
        wait_until(
            lambda: self._rows_on_page() == self._expected.delivered.num_rows, END_SECONDS, "all rows on the page", every=0.2
        )
        for stage in list(self.receivers):
            self._stop_receiver(stage)
        self.page.run.kill()

    def _await_ledger(self, stage: Stage) -> None:
        """Every process comes to tell of every row, also of what others did."""
        rows = {
            "delivered": self._expected.delivered.num_rows,
            "rejected": self._expected.rejected.num_rows,
            "deduplicated": self._expected.duplicate.num_rows,
            "filtered": self._expected.filtered.num_rows,
            "in_flight": 0,
        }
        url, seen = self._url(stage), {}

        def tells_all() -> bool:
            ledger = get_json(url, "/api/ledger")
            seen.update(ledger["total"], balanced=ledger["balanced"])
            return ledger["balanced"] and all(ledger["total"][name] == count for name, count in rows.items())

        try:
            wait_until(tells_all, END_SECONDS, "the whole ledger", every=0.5)
        except Failure as failure:
            raise Failure(f"the ledger of {stage.name} says {seen}, it must say {rows}") from failure

    def _archived_all(self) -> bool:
        """Whether the archive holds as many rows as it must; which ones, the comparison in the end tells."""
        wanted = [self._expected.delivered.num_rows, self._expected.rejected.num_rows]
        found = [count_rows(self._archive() / name) for name in ["rows", "rejects"]]
        if any(there > expected for there, expected in zip(found, wanted)):
            raise Failure(f"the archive holds {found} rows and rejects, it must be {wanted}")
        return found == wanted

    def _verify(self) -> None:
        """The program's own recount, from the folder of one of the publishers."""
        code = self._ended(start(self.folder, "verify", f"{self.publishers[0].name}.toml", name="verify"))
        if code != 0:
            raise Failure(f"`verify` ended with {code}, although the archive is what it must be")

    def release(self) -> None:
        for stage in [*self.publishers.values(), *self.receivers, *self.zombies, self.page]:
            if stage is not None and stage.runs:
                stage.run.kill()
        super().release()
