"""The page of the real program, in a browser: `dashboard/e2e/page.mjs` looks at it while rows flow and at the end."""

import shutil
import signal
import tempfile
import unittest
from pathlib import Path

from browser import look
from program import EXAMPLE, adapt, address, start, tail

SETTINGS = {
    "source.pace": '"3000 rows/s"',
    "stream.batch_rows": "300",
    "archive.commit_interval": '"1s"',
    "server.http": '"127.0.0.1:0"',
}
SECONDS = 120


class PageInABrowser(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="millstream-page-"))
        shutil.copytree(EXAMPLE / "data", self.folder / "data")
        (self.folder / "pipeline.toml").write_text(adapt((EXAMPLE / "pipeline.toml").read_text(), SETTINGS))
        self.program = start(self.folder, "run", "pipeline.toml")
        self.addCleanup(lambda: self.program.process.poll() is None and self.program.kill())

    def test_the_page_shows_what_the_program_does(self):
        url = address(self.folder, self.program)
        looked = look("page.mjs", url, "--wait-done", "60", seconds=SECONDS)
        said = f"{looked.stdout}{looked.stderr}\nkept: {self.folder}"
        self.assertEqual(looked.returncode, 0, said)
        self.program.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.program.wait(60), 0, f"{tail(self.folder / 'stderr.txt')}\nkept: {self.folder}")
        shutil.rmtree(self.folder)


if __name__ == "__main__":
    unittest.main()
