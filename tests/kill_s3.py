"""Lives of the kill test whose source and archive are in a bucket, behind a wire on which calls fail."""

import tempfile
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from kill_life import Life
from s3 import Store, settings, without_bucket


@dataclass
class S3Life(Life):
    """One bucket."""

    store: Store | None = None
    run_seconds: float = 4.0

    def prepare(self) -> str:
        self.bucket = f"life-{self.number}-{uuid.uuid4().hex[:8]}"
        self.store.bucket(self.bucket)
        self.store.fails = self.rng.choice([0.0, 0.2, 0.5])
        return f"{super().prepare()}, {self.store.fails:.0%} of all calls fail"

    def _settings(self, arrives: bool) -> dict[str, str]:
        return super()._settings(arrives) | settings(self.bucket)

    def _put(self, path: Path) -> None:
        self.store.put(self.bucket, f"data/{path.name}", path)

    def _archive(self) -> Path:
        # Whoever looks needs no calls that fail.
        return self.store.fetch(self.bucket, "archive", Path(tempfile.mkdtemp(dir=self.folder)))

    def _read(self):
        archive = super()._read()
        tables = {name: getattr(archive, name) for name in ["rows", "rejects"]}
        named = {name: table and replace(table, rows=without_bucket(table.rows, self.bucket)) for name, table in tables.items()}
        return replace(archive, **named)
