"""A result comes whole, however often the server ends the stream that it comes in, however slowly it is read.

The server cuts streams at 16 MiB and batches at 1 MiB, which a client must not take for the end of the result. What arrives is
counted and added up by an example of the client's crate, and compared with what the query gives by arithmetic.

    PYTHONPATH=tests python tests/spark_stream_test.py        SPARK_READ_ALL=…  names the example, if it is somewhere else
"""

import os
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from program import Failure, binary
from spark import Server, first_stream

SETTINGS = {
    "spark.connect.grpc.arrow.maxBatchSize": "1m",
    "spark.connect.execute.reattachable.senderMaxStreamSize": "16m",
}
ROWS = 1_500_000
QUERY = f"SELECT id, id * 2 AS twice, lpad(cast(id % 100 AS string), 8, '0') AS text FROM range(0, {ROWS}, 1, 8)"
TEXT_BYTES = ROWS * 8 * ord("0") + ROWS // 100 * 900
"""Of all texts: eight zeros each, and the digits of 0 to 99, which add up to 900."""
EXPECTED = {"id": ROWS * (ROWS - 1) // 2, "twice": ROWS * (ROWS - 1), "text": TEXT_BYTES}
SECONDS = 300


def example() -> Path:
    """The example `read_all` of crates/spark-connect."""
    return Path(os.environ.get("SPARK_READ_ALL") or binary().parent / "examples" / "read_all")


class Streams(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not example().exists():
            raise Failure(f"{example()} is not there: `cargo build -p spark-connect --example read_all` makes it")
        folder = tempfile.TemporaryDirectory(prefix="millstream-spark-stream-")
        cls.addClassCleanup(folder.cleanup)
        cls.server = Server(Path(folder.name), SETTINGS)
        cls.enterClassContext(cls.server)

    def start(self, *options: str) -> subprocess.Popen:
        command = [example(), self.server.address, QUERY, *options]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, process: subprocess.Popen) -> None:
        """Waits for its end, and compares what it printed."""
        try:
            out, errors = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Failure(f"did not end in {SECONDS} s: {process.communicate()[1]}") from None
        self.assertEqual(process.returncode, 0, errors)
        words = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in out.splitlines()]
        self.assertEqual([int(line["rows"]) for line in words if "rows" in line], [ROWS])
        self.assertEqual({line["column"]: int(line["sum"]) for line in words if "column" in line}, EXPECTED)
        print(out.splitlines()[-1], flush=True)

    def test_one_stream_holds_a_part_of_the_result_only(self):
        # Otherwise the other tests would show nothing.
        rows = len(first_stream(self.server.address, QUERY))
        self.assertGreater(rows, 0)
        self.assertLess(rows, ROWS // 2)

    def test_every_row_arrives(self):
        self.finish(self.start())

    def test_every_row_arrives_at_a_slow_reader(self):
        self.finish(self.start("--slow-ms", "20"))

    def test_every_row_arrives_from_a_server_that_sleeps(self):
        process = self.start("--slow-ms", "60")
        # Anywhere between the start of the query and its end is fine.
        time.sleep(1.5)
        self.server.pause()
        wakes = threading.Timer(5, self.server.resume)
        wakes.start()
        self.finish(process)
        wakes.join()


if __name__ == "__main__":
    unittest.main()
