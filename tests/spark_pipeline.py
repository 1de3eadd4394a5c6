"""The taxi example cleaned by Spark, with the log in the program, in a folder of its own: see `kafka_pipeline`."""

import unittest
from collections.abc import Sequence

from compare import differences
from kafka_pipeline import FILES, Pipeline
from kill_spark import left_behind
from program import DATA_DIR, Failure
from reader import read_archive


class SparkPipeline(Pipeline):
    """One pipeline, whose rows this Spark cleans."""

    def __init__(self, test: unittest.TestCase, connect: str, files: Sequence[str] = FILES, settings: dict[str, str] | None = None):
        super().__init__(test, "", files, {"clean.spark.connect": f'"{connect}"'} | (settings or {}))

    def write(self, name: str = "pipeline", **changes: str) -> str:
        self.settings = {key: value for key, value in self.settings.items() if not key.startswith("stream.kafka.")}
        return super().write(name, **changes)

    def check(self) -> None:
        """The archive holds what it must, and nothing else is left of the rows."""
        found = differences(read_archive(self.archive), self.outcomes, partition_by_month=True)
        found += left_behind(self.folder / DATA_DIR)
        if found:
            raise Failure("\n  ".join(["what came out is not what it must be:", *found, f"kept: {self.folder}"]))
