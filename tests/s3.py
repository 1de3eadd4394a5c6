"""An S3 server (moto, of the tests' Python packages) behind a wire that can fail, and what is in its buckets."""

import http.client
import os
import random
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.compute as pc
from program import Failure, wait_until

START_SECONDS = 60
NOT_FORWARDED = {"connection", "content-length", "transfer-encoding", "date", "server"}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_REGION": "us-east-1"}


class Store:
    """An S3 server on loopback. `fails` is the share of calls through its wire that fail, one way or another; of so many uploads in
    parts as `lost_ends` says the answer to the last call is lost: who asks again hears that there is no such upload. What is written to keys with `slow` in them waits for `go_on`."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "moto.txt"
        self.port = _free_port()
        with open(self.log, "wb") as log:
            command = [Path(sys.executable).with_name("moto_server"), "--host", "127.0.0.1", "--port", str(self.port)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_until(self._answers, START_SECONDS, f"the S3 server answers (see {self.log})")
        self.fails = 0.0
        self.lost_ends = 0
        self.slow = ""
        self.go_on = threading.Event()
        self.calls = 0
        self.failed = 0
        self.wire = ThreadingHTTPServer(("127.0.0.1", 0), _wire(self))
        self.wire.daemon_threads = True
        threading.Thread(target=self.wire.serve_forever, daemon=True).start()
        self.client = boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{self.port}", region_name=CREDENTIALS["AWS_REGION"],
            aws_access_key_id="tests", aws_secret_access_key="tests",
        )

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.shutdown()
        self.process.kill()
        self.process.wait()

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to reach it, through the wire."""
        return CREDENTIALS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.wire.server_port}"}

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise Failure(f"the S3 server ended with {self.process.returncode}: {self.log.read_text()}")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def bucket(self, name: str) -> None:
        """Makes a bucket."""
        self.client.create_bucket(Bucket=name)

    def put(self, bucket: str, key: str, path: Path) -> None:
        """Uploads a file."""
        self.client.upload_file(str(path), bucket, key)

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys that begin so."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def fetch(self, bucket: str, prefix: str, folder: Path) -> Path:
        """Downloads what is below a key, for readers of files."""
        for key in self.keys(bucket, prefix):
            path = folder / key.removeprefix(prefix).lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            self.client.download_file(bucket, key, str(path))
        return folder


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def _wire(store: Store) -> type[BaseHTTPRequestHandler]:
    """Hands calls on to the server. A call that fails does so before it (`refused`), after it (`lost`: the server did what it was
    asked, and nobody is told), or in the middle of the answer (`cut`)."""

    class Wire(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            store.calls += 1
            failure = random.choice(["refused", "lost", "error", "cut"]) if random.random() < store.fails else None
            if self.command == "POST" and "uploadId=" in self.path and store.lost_ends > 0:
                store.lost_ends -= 1
                failure = "gone"
            store.failed += failure is not None
            if self.command in ("PUT", "POST") and store.slow and store.slow in self.path:
                store.go_on.wait()
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if failure == "refused":
                self._answer(503, [], b"")
                return
            connection = http.client.HTTPConnection("127.0.0.1", store.port, timeout=120)
            try:
                headers = {name: value for name, value in self.headers.items() if name.lower() not in ("connection", "content-length")}
                connection.request(self.command, self.path, body, headers)
                response = connection.getresponse()
                answer = response.read()
            finally:
                connection.close()
            if failure == "lost":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
            elif failure == "gone":
                self._answer(404, [], b"")
            elif failure == "error":
                self._answer(500, [], b"")
            else:
                kept = [(name, value) for name, value in response.getheaders() if name.lower() not in NOT_FORWARDED]
                length = response.getheader("Content-Length") if self.command == "HEAD" else str(len(answer))
                self._answer(response.status, [*kept, ("Content-Length", length or "0")], answer, failure == "cut")

        def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, cut: bool = False) -> None:
            self.send_response_only(status)
            for name, value in headers or [("Content-Length", "0")]:
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[: len(body) // 2] if cut else body)
            if cut:
                self.close_connection = True
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:
                # The program was killed, or the wire was cut.
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    return Wire


def without_bucket(table: pa.Table, bucket: str) -> pa.Table:
    """The table with names of files as they are below the bucket, so that they compare with those of a folder."""
    column = table.column_names.index("_file")
    names = pc.replace_substring(table.column("_file"), f"s3://{bucket}/", "")
    return table.set_column(column, "_file", names)


def settings(bucket: str) -> dict[str, str]:
    """A pipeline whose source and archive are in a bucket."""
    return {"source.path": f'"s3://{bucket}/data/*.parquet"', "source.list_interval": '"100ms"', "archive.path": f'"s3://{bucket}/archive"'}


def use(store: Store) -> None:
    """For every process that is started from now on."""
    os.environ.update(store.environment)
