"""Logging in to the page of the real program, in a browser: `dashboard/e2e/login.mjs` is refused, comes in, and goes out."""

import os
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from browser import look
from program import EXAMPLE, adapt, address, binary, start, tail

SETTINGS = {"source.pace": '"max"', "archive.commit_interval": '"1s"', "server.http": '"127.0.0.1:0"'}
PASSWORD = "correct horse battery"
SECONDS = 120


class LoginInABrowser(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="millstream-login-"))
        shutil.copytree(EXAMPLE / "data", self.folder / "data")
        # Quarantined, so that there is something that operators can do about it.
        (self.folder / "data" / "zz-broken.parquet").write_text("this is no Parquet file")
        (self.folder / "pipeline.toml").write_text(adapt((EXAMPLE / "pipeline.toml").read_text(), SETTINGS))
        for name, role in (("ada", "operator"), ("bob", "viewer")):
            command = [binary(), "user", "add", name, "--role", role, "--password-stdin"]
            subprocess.run(command, cwd=self.folder, input=f"{PASSWORD}\n", text=True, check=True, capture_output=True)
        self.program = start(self.folder, "run", "pipeline.toml")
        self.addCleanup(lambda: self.program.process.poll() is None and self.program.kill())

    def test_the_page_is_for_those_who_log_in(self):
        url = address(self.folder, self.program)
        os.environ["PASSWORD"] = PASSWORD
        shots = ["--shots", path] if (path := os.environ.get("SHOTS")) else []
        arguments = [url, str(binary()), str(self.folder / "pipeline.toml"), *shots]
        looked = look("login.mjs", *arguments, seconds=SECONDS)
        self.assertEqual(looked.returncode, 0, f"{looked.stdout}{looked.stderr}\nkept: {self.folder}")
        self.program.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.program.wait(60), 0, f"{tail(self.folder / 'stderr.txt')}\nkept: {self.folder}")
        self.assertNotIn(PASSWORD, (self.folder / "stderr.txt").read_text())
        shutil.rmtree(self.folder)


if __name__ == "__main__":
    unittest.main()
