"""The taxi example over Kafka in a folder of its own: its files, its topic, its processes, and what must come out."""

import shutil
import tempfile
import unittest
import uuid
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from compare import differences
from expected import SOURCE, Outcomes, compute
from kafka import Settings
from kafka_rows import topic_differences
from program import DATA_DIR, EXAMPLE, Failure, Run, adapt, start, tail, without
from reader import read_archive

FILES = ["2019-01", "2019-01.redelivery7500"]
SMALL = ["2021.sample1000"]
QUICK = {
    "source.watch": "false",
    "source.pace": '"max"',
    "stream.batch_rows": "200",
    "stream.flush_interval": '"10ms"',
    "stream.kafka.transaction_timeout": '"6s"',
    "stream.kafka.session_timeout": '"6s"',
    "archive.commit_interval": '"200ms"',
    "server.http": '"127.0.0.1:0"',
}
END_SECONDS = 120


class Pipeline:
    """One pipeline; `settings` beside those that make it quick. The folder goes when its test went well."""

    def __init__(
        self,
        test: unittest.TestCase,
        bootstrap: str,
        files: Sequence[str] = FILES,
        settings: dict[str, str] | None = None,
        client: Settings | None = None,
        dedup: str = SOURCE,
    ):
        self.folder = Path(tempfile.mkdtemp(prefix="millstream-kafka-"))
        self.bootstrap = bootstrap
        self.client = client or {}
        """How the independent consumer logs in."""
        self.topic = f"taxi-{uuid.uuid4().hex[:12]}"
        self.dedup = dedup
        self.runs: list[Run] = []
        self.files: list[Path] = []
        (self.folder / "data").mkdir()
        self.add(files)
        names = {"stream.topic": self.topic, "stream.kafka.brokers": bootstrap, "stream.kafka.group": self.topic}
        self.settings = QUICK | {name: f'"{value}"' for name, value in names.items()} | (settings or {})
        self.write()
        test.addCleanup(self._release, test)

    def add(self, files: Sequence[str]) -> None:
        """Puts more files of the example into the source, each in one step."""
        for name in files:
            path = EXAMPLE / "data" / f"yellow_tripdata_{name}.parquet"
            hidden = self.folder / "data" / f".{path.name}"
            shutil.copy(path, hidden)
            hidden.rename(self.folder / "data" / path.name)
            self.files.append(path)
        self.__dict__.pop("outcomes", None)

    def write(self, name: str = "pipeline", **changes: str) -> str:
        """Writes the pipeline file NAME.toml with `changes` (`section__key`) to the settings; returns its name."""
        example = (EXAMPLE / "pipeline.toml").read_text()
        if self.dedup != SOURCE:
            example = without(example, "clean.dedup")
        settings = self.settings | {key.replace("__", "."): value for key, value in changes.items()}
        (self.folder / f"{name}.toml").write_text(adapt(example, settings))
        return f"{name}.toml"

    def start(self, *arguments: str, name: str = "", environment: dict[str, str] | None = None) -> Run:
        run = start(self.folder, *arguments, name=name, environment=environment)
        self.runs.append(run)
        return run

    def run(self, file: str = "pipeline.toml") -> Run:
        """All stages, to the end of the source."""
        return self.start("run", file, "--until-done", "--json")

    def ended(self, run: Run, seconds: float = END_SECONDS) -> int:
        code = run.wait(seconds)
        if code is None:
            raise Failure(f"did not end in {seconds} s:\n{self.told(run)}")
        return code

    def ends_well(self, run: Run) -> None:
        if code := self.ended(run):
            raise Failure(f"ended with {code}:\n{self.told(run)}")

    def told(self, run: Run) -> str:
        """The last lines of what it said."""
        return f"{tail(run.log)}\nkept: {self.folder}"

    @cached_property
    def outcomes(self) -> Outcomes:
        return compute(self.files, EXAMPLE, self.dedup)

    @property
    def archive(self) -> Path:
        return self.folder / DATA_DIR / "archive"

    def check(self, bootstrap: str = "", whole: bool = True) -> None:
        """Archive and topics hold what they must; `bootstrap`: to read the topic past a proxy."""
        found = differences(read_archive(self.archive), self.outcomes, partition_by_month=True)
        found += topic_differences(bootstrap or self.bootstrap, self.topic, self.outcomes, whole, self.client)
        if found:
            raise Failure("\n  ".join(["what came out is not what it must be:", *found, f"kept: {self.folder}"]))

    def _release(self, test: unittest.TestCase) -> None:
        for run in self.runs:
            if run.process.poll() is None:
                run.kill()
        result = test._outcome.result
        failed = {getattr(which, "test_case", which) for which, _ in [*result.failures, *result.errors]}
        if test in failed:
            print(f"kept: {self.folder}", flush=True)
        else:
            shutil.rmtree(self.folder)
