"""No append is acknowledged before its data is on disk.

A kill cannot show this, since the operating system keeps what was written. So the program runs under strace: between the
last write to a journal of the log, or to a file with its values, and the acknowledgement that follows it, that file must
have been synced, and the folder of a new one, too. The program writes `ack <number>` to stderr for each append when `MILLSTREAM_TRACE_ACKS` is 1.
"""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from program import EXAMPLE, adapt, binary, tail
from sync_trace import Trace

CALLS = "openat,write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,sync_file_range"
SETTINGS = {
    "source.watch": "false",
    "source.pace": '"max"',
    "stream.batch_rows": "100",
    "stream.flush_interval": '"1ms"',
    "archive.commit_interval": '"200ms"',
    "server.http": '"127.0.0.1:0"',
}
SECONDS = 120


def is_journal(path: str) -> bool:
    return "/millstream-data/log/" in path and path.endswith((".jnl", ".values"))


class AcknowledgedAppends(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="millstream-sync-"))

    def test_each_append_is_synced_before_it_is_acknowledged(self):
        self.check("yellow_tripdata_2021.sample1000.parquet", {})
        shutil.rmtree(self.folder)

    def test_values_of_large_appends_are_synced_before_they_are_acknowledged(self):
        large = {"stream.batch_rows": "32768", "stream.flush_interval": '"10s"', "stream.flush_bytes": '"8MiB"'}
        self.check("yellow_tripdata_*.parquet", large)
        values = [line for line in (self.folder / "trace.txt").read_text(errors="replace").splitlines() if ".values" in line]
        self.assertTrue(any("write(" in line for line in values), f"no value was written to a file of its own; kept: {self.folder}")
        shutil.rmtree(self.folder)

    def check(self, files: str, settings: dict[str, str]):
        (self.folder / "data").mkdir()
        for path in (EXAMPLE / "data").glob(files):
            shutil.copy(path, self.folder / "data")
        text = adapt((EXAMPLE / "pipeline.toml").read_text(), SETTINGS | settings)
        (self.folder / "pipeline.toml").write_text(text)
        code = self.traced_run()
        self.assertEqual(code, 0, f"kept: {self.folder}\n{tail(self.folder / 'stderr.txt')}")
        trace = Trace(is_journal)
        with open(self.folder / "trace.txt", errors="replace") as lines:
            for line in lines:
                trace.read(line)
        self.assertGreater(len(trace.acks), 0, f"no acknowledgement was traced; kept: {self.folder}")
        self.assertGreaterEqual(trace.journal_writes, len(trace.acks), f"kept: {self.folder}")
        self.assertGreater(trace.journal_syncs, 0, f"kept: {self.folder}")
        self.assertEqual(trace.acks, sorted(set(trace.acks)), f"kept: {self.folder}")
        self.assertEqual(trace.violations, [], f"kept: {self.folder}")
        print(f"{len(trace.acks)} appends, {trace.journal_writes} writes to the log, {trace.journal_syncs} syncs")

    def traced_run(self) -> int:
        """Runs the pipeline under strace; its exit code."""
        command = ["strace", "-f", "-y", "-s", "64", "-e", f"trace={CALLS}", "-o", str(self.folder / "trace.txt")]
        command += [str(binary()), "run", "pipeline.toml", "--until-done", "--json"]
        with open(self.folder / "stdout.txt", "wb") as out, open(self.folder / "stderr.txt", "wb") as errors:
            return subprocess.run(
                command,
                cwd=self.folder,
                env={**os.environ, "MILLSTREAM_TRACE_ACKS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                timeout=SECONDS,
            ).returncode


if __name__ == "__main__":
    unittest.main()
