"""A disk that fills up: a small tmpfs holds the data folder, the archive, or both. The program says so, and goes on by itself.

Needs the right to mount; without it this fails, for a test that was not run shows nothing.
"""

import errno
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from compare import differences
from expected import compute
from program import EXAMPLE, adapt, address, get_json, start, tail, wait_until
from reader import read_archive

FILES = ["2018-12", "2019-01", "2019-01.redelivery7500", "2020-11"]
SETTINGS = {"source.pace": '"max"', "stream.batch_rows": "500", "archive.commit_interval": '"100ms"', "server.http": '"127.0.0.1:0"'}
SIZE_MIB = 256
MIB = 1 << 20


class FullDisks(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="millstream-disk-"))
        (self.folder / "data").mkdir()
        (self.folder / "small").mkdir()
        self.small = self.folder / "small"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", self.small], capture_output=True, text=True
        )
        self.assertEqual(mounted.returncode, 0, f"cannot mount a small disk, so nothing is shown: {mounted.stderr}")
        self.addCleanup(subprocess.run, ["umount", "--lazy", self.small], stderr=subprocess.DEVNULL)
        self.runs = []
        self.addCleanup(lambda: [run.kill() for run in self.runs if run.process.poll() is None])
        every = sorted((EXAMPLE / "data").glob("*.parquet"))
        self.files = [path for path in every if any(name in path.name for name in FILES)]
        for path in self.files:
            shutil.copy(path, self.folder / "data")


    def _fill(self, free_mib: float) -> Path:
        """Leaves so much room on the small disk."""
        filler = self.small / "filler"
        with open(filler, "wb", buffering=0) as file:
            # The program writes, too.
            while (left := shutil.disk_usage(self.small).free - int(free_mib * MIB)) > 0:
                try:
                    file.write(b"\0" * min(left, MIB))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    break
        return filler

    def _start(self, data_dir: str, archive: str):
        settings = SETTINGS | {"pipeline.data_dir": f'"{data_dir}"', "archive.path": f'"{archive}"'}
        (self.folder / "pipeline.toml").write_text(adapt((EXAMPLE / "pipeline.toml").read_text(), settings))
        run = start(self.folder, "run", "pipeline.toml")
        self.runs.append(run)
        return run, address(self.folder, run, data_dir=data_dir)

    def _all_comes(self, run, url: str, archive: str) -> None:
        """Everything is archived once, and the program ends well."""
        outcomes = compute(self.files, EXAMPLE)
        rows = outcomes.delivered.num_rows
        wait_until(lambda: get_json(url, "/api/status")["archive"]["rows"] == rows, 90, "all rows archived")
        def is_well() -> bool:
            status = get_json(url, "/api/status")
            return status["archive"]["trouble"] is None and status["stream"]["trouble"] is None

        wait_until(is_well, 30, "nothing troubles it any more")
        run.process.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(60), 0, tail(run.log))
        self.assertEqual(differences(read_archive(self.folder / archive), outcomes, True), [])
        subprocess.run(["umount", self.small], check=True)
        shutil.rmtree(self.folder)

    def _told(self, url: str, words: str) -> str:
        """The message that tells of it."""
        texts = [message["text"] for message in get_json(url, "/api/status")["messages"]]
        return next((text for text in texts if words in text), "")

    def test_the_archive_waits_for_room_and_goes_on(self):
        filler = self._fill(8)
        run, url = self._start("millstream-data", "small/archive")
        trouble = wait_until(lambda: get_json(url, "/api/status")["archive"]["trouble"], 60, "a full disk is told")
        self.assertIn("small/archive", trouble["what"])
        self.assertIn("make room", self._told(url, "is full"))
        self.assertIsNone(run.process.poll())
        filler.unlink()
        self._all_comes(run, url, "small/archive")

    def test_the_log_waits_for_room_and_goes_on(self):
        filler = self._fill(60)
        run, url = self._start("small/data", "archive")
        trouble = wait_until(lambda: get_json(url, "/api/status")["stream"]["trouble"], 60, "a full disk is told")
        self.assertIn("small/data/log", trouble["what"])
        self.assertIn("No row is published until then", self._told(url, "is full"))
        self.assertEqual(self._told(url, "publishing goes on"), "", "it is told when an append has landed")
        filler.unlink()
        wait_until(lambda: self._told(url, "publishing goes on"), 60, "it is told that it goes on")
        self._all_comes(run, url, "archive")

    def test_a_log_whose_files_take_no_more_waits_although_its_disk_has_room(self):
        """As a quota does it: the system tells of free room and takes nothing."""
        # The log is made on the large disk; the files with its values lie on the small one.
        sources = list((self.folder / "data").iterdir())
        for path in sources:
            path.rename(self.folder / path.name)
        run, _ = self._start("data-dir", "archive")
        run.process.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(60), 0, tail(run.log))
        values = self.folder / "data-dir" / "log" / "values"
        values.rmdir()
        values.symlink_to(self.small)
        filler = self._fill(0.1)
        for path in sources:
            (self.folder / path.name).rename(path)
        run, url = self._start("data-dir", "archive")
        trouble = wait_until(lambda: get_json(url, "/api/status")["stream"]["trouble"], 60, "a full disk is told")
        self.assertIn("takes no more", trouble["what"])
        self.assertIn("No row is published until then", self._told(url, "takes no more"))
        self.assertIsNone(run.process.poll())
        self.assertEqual([path.name for path in self.small.iterdir()], ["filler"], "what was begun takes no room")
        filler.unlink()
        self._all_comes(run, url, "archive")

    def test_a_disk_that_is_full_to_the_last_byte_loses_nothing(self):
        """Somebody else takes all room while rows flow: what waits goes on, what had to end goes on at the next start."""
        settings = SETTINGS | {"source.pace": '"5000 rows/s"'}
        settings |= {"pipeline.data_dir": '"small/data"', "archive.path": '"small/data/archive"'}
        (self.folder / "pipeline.toml").write_text(adapt((EXAMPLE / "pipeline.toml").read_text(), settings))
        run = start(self.folder, "run", "pipeline.toml")
        self.runs.append(run)
        url = address(self.folder, run, data_dir="small/data")
        wait_until(lambda: get_json(url, "/api/status")["archive"]["rows"] > 0, 60, "the first rows are archived")
        filler = self._fill(0)

        def is_noticed() -> bool:
            if run.process.poll() is not None:
                return True
            status = get_json(url, "/api/status")
            return bool(status["archive"]["trouble"] or status["stream"]["trouble"])

        wait_until(is_noticed, 60, "the full disk is noticed")
        ended = run.process.poll()
        self.assertIn(ended, (None, 1), tail(run.log))
        self.assertIn("full", run.log.read_text())
        filler.unlink()
        if ended is None:
            self._all_comes(run, url, "small/data/archive")
            return
        again = start(self.folder, "run", "pipeline.toml")
        self.runs.append(again)
        self._all_comes(again, address(self.folder, again, data_dir="small/data"), "small/data/archive")


if __name__ == "__main__":
    unittest.main()
