"""The real program, driven from outside: where it is, how its pipeline file is adapted, how it is started and stopped."""

import http.client
import json
import os
import re
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "nyc-taxi"
DATA_DIR = "millstream-data"

# Programs that abort themselves by the dozen must not leave dumps behind.
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Failure(Exception):
    """The program did what it must not; the text says what."""


def binary() -> Path:
    """The program under test: `MILLSTREAM_BIN`, otherwise the development build."""
    if path := os.environ.get("MILLSTREAM_BIN"):
        return Path(path)
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    return target / "debug" / "millstream"


def adapt(text: str, settings: dict[str, str]) -> str:
    """Sets `section.key` to a TOML value in the text of a pipeline file: replaced where it is written, added where not."""
    lines, section, left = [], "", dict(settings)
    for line in text.splitlines():
        if match := re.match(r"\[+([\w.]+)\]", line):
            _add_missing(lines, section, left)
            # An entry of a list of tables is not a section that settings could be meant for.
            section = "" if line.startswith("[[") else match[1]
        key = re.match(r"(\w+)\s*=", line)
        name = f"{section}.{key[1]}" if key else None
        lines.append(f"{key[1]} = {left.pop(name)}" if name in left else line)
    _add_missing(lines, section, left)
    for section in dict.fromkeys(name.rsplit(".", 1)[0] for name in left):
        lines.append(f"[{section}]")
        _add_missing(lines, section, left)
    return "\n".join(lines) + "\n"


def _add_missing(lines: list[str], section: str, left: dict[str, str]) -> None:
    """At the end of a section: the settings of it that were not written there."""
    if not section:
        return
    start = max(number for number, line in enumerate(lines) if line.startswith(f"[{section}]"))
    missing = [name for name in left if name.rsplit(".", 1)[0] == section]
    lines[start + 1 : start + 1] = [f"{name.rsplit('.', 1)[1]} = {left.pop(name)}" for name in missing]


def without(text: str, section: str) -> str:
    """The text of a pipeline file less one section."""
    lines, left_out = [], False
    for line in text.splitlines():
        if match := re.match(r"\[+([\w.]+)\]", line):
            left_out = match[1] == section
        if not left_out:
            lines.append(line)
    return "\n".join(lines) + "\n"


@dataclass
class Run:
    """One process of the program; what it prints is appended to files in its folder."""

    process: subprocess.Popen
    started: float
    log: Path
    """What it says on stderr."""

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def wait(self, timeout: float) -> int | None:
        """The exit code (negative: the signal that ended it); none if it still runs after `timeout` seconds."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> int:
        """SIGKILL to this process, and its exit code."""
        self.process.kill()
        return self.process.wait()

    def pause(self) -> None:
        """SIGSTOP: it does nothing from now on, and nobody tells it so."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT, after `pause`."""
        self.process.send_signal(signal.SIGCONT)


def start(folder: Path, *arguments: str, environment: dict[str, str] | None = None, name: str = "") -> Run:
    """Starts the program in `folder`; stdout goes to `stdout.txt`, stderr to `stderr.txt` there, or to `NAME-stdout.txt`
    and `NAME-stderr.txt`, so that processes that run at once can be told apart."""
    variables = {**os.environ, **(environment or {})}
    prefix = f"{name}-" if name else ""
    log = folder / f"{prefix}stderr.txt"
    with open(folder / f"{prefix}stdout.txt", "ab") as out, open(log, "ab") as errors:
        errors.write(f"--- millstream {' '.join(arguments)} {environment or ''}\n".encode())
        errors.flush()
        process = subprocess.Popen(
            [binary(), *arguments], cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=out, stderr=errors
        )
    return Run(process, time.monotonic(), log)


def address(folder: Path, run: Run, timeout: float = 60, data_dir: str = DATA_DIR) -> str:
    """The URL of a running pipeline, as soon as its server says that it is ready."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if run.process.poll() is not None:
            raise Failure(f"ended with {run.process.returncode} before it was ready:\n{tail(run.log)}")
        url = registered(folder, run, data_dir)
        if url is not None and _is_ready(url):
            return url
        time.sleep(0.05)
    raise Failure(f"was not ready in {timeout} s:\n{tail(run.log)}")


def registered(folder: Path, run: Run, data_dir: str = DATA_DIR) -> str | None:
    """The URL that this very process has written to its `run.json`; none before it has."""
    try:
        found = json.loads((folder / data_dir / "run.json").read_text())
    except (OSError, ValueError):
        return None
    return found["url"] if found["pid"] == run.process.pid else None


def _is_ready(url: str) -> bool:
    try:
        return request(url, "GET", "/readyz")[0] == 200
    except OSError:
        return False


def request(url: str, method: str, path: str, body: dict | None = None) -> tuple[int, bytes]:
    """One HTTP request: status and body."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json", "Accept": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def get_json(url: str, path: str) -> dict:
    status, body = request(url, "GET", path)
    if status != 200:
        raise Failure(f"GET {path} gave {status}: {body[:300]!r}")
    return json.loads(body)


def query(url: str, sql: str) -> list[list]:
    """The rows of a query."""
    status, body = request(url, "POST", "/api/sql", {"sql": sql, "limit": 1000})
    if status != 200:
        raise Failure(f"`{sql}` gave {status}: {body[:300]!r}")
    return json.loads(body)["rows"]


def failpoints() -> list[str]:
    """Names of the program's fail-points."""
    output = subprocess.run([binary(), "failpoints"], capture_output=True, text=True, timeout=30)
    names = output.stdout.split()
    if output.returncode != 0 or not names:
        raise Failure(f"`{binary()} failpoints` listed nothing: is it a development build? {output.stderr.strip()}")
    return names


def wait_until(condition: Callable[[], T | None], seconds: float, what: str, every: float = 0.05) -> T:
    """What `condition` gives as soon as it gives something true; a failure that names `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not in {seconds:.0f} s")
        time.sleep(every)


def was_killed(code: int) -> bool:
    """Whether a process died as by SIGKILL: killed, or aborted at a fail-point."""
    return code in (-signal.SIGKILL, -signal.SIGABRT)


def tail(path: Path, lines: int = 25) -> str:
    """The last lines of a file."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""
