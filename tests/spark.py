"""Apache Spark for the tests: a server of our own that can be killed and paused, and a plain client that asks it in SQL.

The server is that of `deploy/spark/spark.sh`, which knows its settings and its processes. The client speaks just enough of Spark
Connect to run one query and take its rows; it shares nothing with the program under test.
"""

import atexit
import os
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import pyarrow as pa

from program import ROOT, Failure

SCRIPT = ROOT / "deploy" / "spark" / "spark.sh"
START_SECONDS = 400
QUERY_SECONDS = 180


@dataclass(frozen=True)
class Address:
    """Where a server is, and what it asks for."""

    host: str
    token: str = ""

    @staticmethod
    def parse(text: str) -> "Address":
        """Reads `sc://host:port/;token=…`."""
        if not text.startswith("sc://"):
            raise Failure(f"`{text}` is no address of a Spark Connect server: it begins with sc://")
        host, _, parameters = text.removeprefix("sc://").partition("/")
        pairs = dict(pair.split("=", 1) for pair in parameters.split(";") if pair)
        return Address(host, pairs.get("token", ""))

    def __str__(self) -> str:
        return f"sc://{self.host}" + (f"/;token={self.token}" if self.token else "")


class Server:
    """A server in a folder; its port stays the same however often it is killed and started."""

    def __init__(self, folder: Path, settings: Mapping[str, str] = {}, token: str = "", cluster: bool = False):
        self.folder = folder
        self.settings = settings
        """Settings of Spark, by name."""
        self.token = token
        self.cluster = cluster
        """One master and two workers, the server's queries run there; else all is one process."""

    def start(self) -> "Server":
        """Starts what does not run, and returns when the server answers."""
        atexit.register(self.stop)
        if self._made():
            self._script("start")
            return self
        options = [part for name, value in self.settings.items() for part in ("--conf", f"{name}={value}")]
        if self.token:
            options += ["--token", self.token]
        if self.cluster:
            options.append("--cluster")
        self._script("start", *options)
        return self

    def stop(self) -> None:
        """Ends all of it, paused or not."""
        atexit.unregister(self.stop)
        if self._made():
            self._script("stop")

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """What a pipeline file names as `clean.spark.connect`."""
        facts = dict(line.split("=", 1) for line in (self.folder / "server").read_text().splitlines())
        return str(Address(facts["address"].removeprefix("sc://"), self.token))

    @property
    def port(self) -> int:
        return int(Address.parse(self.address).host.rsplit(":", 1)[1])

    def pid(self, part: str = "connect") -> int:
        """The process of a part, as it was started last."""
        return int((self.folder / part / "pid").read_text())

    def log(self, part: str = "connect") -> Path:
        """What a part says, over all its lives."""
        return self.folder / part / "log"

    def kill(self, part: str = "connect") -> None:
        """SIGKILL; returns when the process is gone."""
        self._script("kill", "--part", part)

    def pause(self, part: str = "connect") -> None:
        """SIGSTOP: connections stay, and nobody answers."""
        self._script("pause", "--part", part)

    def resume(self, part: str = "connect") -> None:
        """SIGCONT, after `pause`."""
        self._script("resume", "--part", part)

    def restart(self, part: str = "connect") -> None:
        """Starts a part that was killed, and returns when it answers."""
        self._script("start", "--part", part)

    def query(self, sql: str) -> pa.Table:
        """The rows of a query."""
        return query(self.address, sql)

    def _made(self) -> bool:
        return (self.folder / "server").exists()

    def _script(self, *arguments: str) -> None:
        command = [SCRIPT, *arguments, "--dir", self.folder]
        # Processes that stay must not hold the pipes that are read to their end here.
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=START_SECONDS)
        if done.returncode != 0:
            raise Failure(f"spark.sh {arguments[0]} ended with {done.returncode}:\n{done.stderr.strip()}")


@dataclass
class GivenServer:
    """A server that is there already, named by SPARK_CONNECT: used, and never killed."""

    address: str

    def __enter__(self) -> "GivenServer":
        try:
            self.query("SELECT 1")
        except Failure as failure:
            raise Failure(f"SPARK_CONNECT names {Address.parse(self.address).host}, which does not answer: {failure}") from None
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def query(self, sql: str) -> pa.Table:
        """The rows of a query."""
        return query(self.address, sql)

    def _refuse(self, *_: object) -> None:
        raise Failure(
            f"the server at {Address.parse(self.address).host} is not ours to kill or pause: unset SPARK_CONNECT, and the tests start their own"
        )

    kill = pause = resume = restart = _refuse


class OfVersion:
    """Calls itself a Spark of this version, and can do nothing else; to be entered with `with`."""

    def __init__(self, version: str):
        self.version = version
        self.server = grpc.server(ThreadPoolExecutor(2))

    def __enter__(self) -> "OfVersion":
        handler = grpc.unary_unary_rpc_method_handler(self._analyze)
        service = grpc.method_handlers_generic_handler("spark.connect.SparkConnectService", {"AnalyzePlan": handler})
        self.server.add_generic_rpc_handlers([service])
        self.address = f"sc://127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop(None)

    def _analyze(self, request: bytes, _: grpc.ServicerContext) -> bytes:
        session = dict(fields(request))[SESSION]
        version = bytes_field(SPARK_VERSION, bytes_field(1, self.version.encode()))
        return bytes_field(SESSION, session) + version + bytes_field(SERVER_SESSION, b"mine")


def server_for_tests(folder: Path, environment: Mapping[str, str] = os.environ) -> Server | GivenServer:
    """The server that SPARK_CONNECT names, otherwise one of our own in `folder`; to be entered with `with`."""
    if address := environment.get("SPARK_CONNECT"):
        return GivenServer(address)
    return Server(folder)


# ---- a query, as messages: spark/connect/base.proto and relations.proto, of which only these fields are needed.

SESSION, USER, PLAN, REQUEST_OPTION, OPERATION = 1, 2, 3, 5, 6
"""Of ExecutePlanRequest."""
USER_ID, ROOT_RELATION, SQL, QUERY_TEXT = 1, 1, 10, 1
"""Of UserContext, Plan, Relation and SQL."""
SPARK_VERSION, SERVER_SESSION = 8, 15
"""Of AnalyzePlanResponse."""
REATTACHABLE = b"\x0a\x02\x08\x01"
"""A request option: `reattach_options { reattachable: true }`."""
ARROW_BATCH, ROW_COUNT, DATA = 2, 1, 2
"""Of ExecutePlanResponse and its ArrowBatch."""


def query(address: str, sql: str, seconds: float = QUERY_SECONDS) -> pa.Table:
    """The rows of a query. A failure has Spark's own words."""
    return first_stream(address, sql, reattachable=False, seconds=seconds)


def first_stream(address: str, sql: str, reattachable: bool = True, seconds: float = QUERY_SECONDS) -> pa.Table:
    """What the first stream of a query's answer holds: all of the result, but for `reattachable` ones, which the server ends
    when it likes, for the client to go on with another stream."""
    to = Address.parse(address)
    request = bytes_field(SESSION, _id()) + bytes_field(USER, bytes_field(USER_ID, b"tests"))
    request += bytes_field(PLAN, bytes_field(ROOT_RELATION, bytes_field(SQL, bytes_field(QUERY_TEXT, sql.encode()))))
    if reattachable:
        request += bytes_field(REQUEST_OPTION, REATTACHABLE) + bytes_field(OPERATION, _id())
    metadata = [("authorization", f"Bearer {to.token}")] if to.token else []
    batches, rows = [], 0
    with grpc.insecure_channel(to.host, options=[("grpc.max_receive_message_length", -1)]) as channel:
        # Without serializers messages are bytes.
        call = channel.unary_stream("/spark.connect.SparkConnectService/ExecutePlan")
        try:
            for response in call(request, timeout=seconds, metadata=metadata):
                for batch in (value for number, value in fields(response) if number == ARROW_BATCH):
                    parts = dict(fields(batch))
                    rows += parts.get(ROW_COUNT, 0)
                    batches.append(pa.ipc.open_stream(parts[DATA]).read_all())
        except grpc.RpcError as error:
            raise Failure(f"{error.code().name}: {error.details()}") from None
    found = pa.concat_tables(batches)
    if len(found) != rows:
        raise Failure(f"{len(found)} rows in batches that tell of {rows}")
    return found


def _id() -> bytes:
    return str(uuid.uuid4()).encode()


def bytes_field(number: int, value: bytes) -> bytes:
    """A field of a message that holds bytes, a text or a message."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    taken = bytearray()
    while number > 127:
        taken.append(number & 127 | 128)
        number >>= 7
    return bytes([*taken, number])


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of the fields of a message."""
    at = 0

    def varint() -> int:
        nonlocal at
        number = shift = 0
        while True:
            byte = message[at]
            at += 1
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number

    while at < len(message):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
            continue
        length = {1: lambda: 8, 2: varint, 5: lambda: 4}[kind]()
        yield key >> 3, message[at : at + length]
        at += length


# ---- files as Spark reads them


def parquet_files(files: list[Path]) -> str:
    """What stands behind FROM for all of these files, which lie in one folder or below it: a glob that names each."""
    folder = Path(os.path.commonpath([str(path.parent) for path in files]))
    names = ",".join(str(path.relative_to(folder)) for path in files)
    return f"parquet.`{folder}/{{{names}}}`"
