"""A query sees each row once, also while commits to the archive land.

While paced rows flow, clients count the rows of `events` and their distinct identities again and again: the two agree in
every answer, and no client ever sees fewer rows than before.
"""

import shutil
import signal
import tempfile
import threading
import time
import unittest
from pathlib import Path

from expected import compute
from program import EXAMPLE, Failure, adapt, address, get_json, query, start, tail

QUERIES = 500
COMMITS = 20
CLIENTS = 2
SECONDS = 150
FILES = ["2019-01", "2019-01.redelivery7500", "2020-11"]
SETTINGS = {
    "source.pace": '"600 rows/s"',
    "stream.batch_rows": "100",
    "stream.flush_interval": '"20ms"',
    "archive.commit_interval": '"200ms"',
    "server.http": '"127.0.0.1:0"',
}
COUNT = "SELECT count(*), count(DISTINCT _file || ':' || CAST(_row AS VARCHAR)) FROM events"


class Client(threading.Thread):
    """Asks until it is told to stop; keeps what was wrong."""

    def __init__(self, url: str, stop: threading.Event):
        super().__init__()
        self.url, self.stop = url, stop
        self.answers: list[int] = []
        self.wrong: list[str] = []

    def run(self) -> None:
        before = 0
        while not self.stop.is_set():
            try:
                rows, distinct = query(self.url, COUNT)[0]
            except (Failure, OSError) as error:
                self.wrong.append(f"query {len(self.answers) + 1}: {error}")
                return
            if rows != distinct:
                self.wrong.append(f"query {len(self.answers) + 1}: {rows} rows, {distinct} of them distinct")
            if rows < before:
                self.wrong.append(f"query {len(self.answers) + 1}: {rows} rows after {before}")
            before = rows
            self.answers.append(rows)


class QueriesWhileCommitsLand(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="millstream-queries-"))
        (self.folder / "data").mkdir()
        self.files = [EXAMPLE / "data" / f"yellow_tripdata_{name}.parquet" for name in FILES]
        for path in self.files:
            shutil.copy(path, self.folder / "data")
        (self.folder / "pipeline.toml").write_text(adapt((EXAMPLE / "pipeline.toml").read_text(), SETTINGS))
        self.program = start(self.folder, "run", "pipeline.toml")
        self.addCleanup(lambda: self.program.process.poll() is None and self.program.kill())

    def test_events_holds_each_row_once_in_every_answer(self):
        url = address(self.folder, self.program)
        outcomes = compute(self.files, EXAMPLE)
        stop = threading.Event()
        clients = [Client(url, stop) for _ in range(CLIENTS)]
        first = get_json(url, "/api/status")["archive"]["version"] or 0
        try:
            for client in clients:
                client.start()
            self._until_all_is_seen(clients, outcomes.delivered.num_rows)
        finally:
            stop.set()
            for client in clients:
                client.join()
        commits = get_json(url, "/api/status")["archive"]["version"] - first
        queries = sum(len(client.answers) for client in clients)
        kept = f"kept: {self.folder}"
        self.assertEqual([text for client in clients for text in client.wrong], [], kept)
        self.assertGreaterEqual(commits, COMMITS, kept)
        self.assertGreaterEqual(queries, QUERIES, kept)
        self.assertEqual({client.answers[-1] for client in clients}, {outcomes.delivered.num_rows}, kept)
        rejects = "SELECT count(*), count(DISTINCT _file || ':' || CAST(_row AS VARCHAR)) FROM rejects"
        self.assertEqual(query(url, rejects)[0], [outcomes.rejected.num_rows] * 2, kept)
        print(f"{queries} queries over {commits} commits")
        self.program.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.program.wait(60), 0, tail(self.folder / "stderr.txt"))
        shutil.rmtree(self.folder)

    def _until_all_is_seen(self, clients: list[Client], rows: int) -> None:
        """Waits until each client has seen all rows and the queries are enough, or one client found something wrong."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if any(client.wrong for client in clients):
                return
            seen = all(client.answers and client.answers[-1] == rows for client in clients)
            if seen and sum(len(client.answers) for client in clients) >= QUERIES:
                return
            time.sleep(0.1)
        answers = [client.answers[-1:] for client in clients]
        self.fail(f"{rows} rows were not seen in {SECONDS} s, last answers {answers}; kept: {self.folder}")


if __name__ == "__main__":
    unittest.main()
