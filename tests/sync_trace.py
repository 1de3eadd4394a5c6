"""Reads what `strace -f -y` printed and checks that every acknowledged append was on disk before.

Each call counts from the line where it begins to the line where it returns. A write makes its file dirty at both; a
sync cleans what was written when it began, and only once it has returned 0.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field

BEGUN = re.compile(r"^(\d+) +(\w+)\((.*)$")
RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")
RETURNED = re.compile(r"= (-?\d+)")
FD = re.compile(r"^(\d+)<([^>]*)>")
ACK = re.compile(r'"ack (\d+)\\n"')
CREATED = re.compile(r'O_CREAT.*= \d+<([^>]*)>')

WRITES = {"write", "pwrite64", "writev", "pwritev", "pwritev2"}
SYNCS = {"fsync", "fdatasync"}


@dataclass
class Trace:
    """What the lines read so far say. `journal` tells which paths count."""

    journal: callable
    acks: list[int] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    journal_writes: int = 0
    journal_syncs: int = 0
    _written: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _synced: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _pending: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    _created: set[str] = field(default_factory=set)

    def read(self, line: str) -> None:
        """Takes one line of the trace into account."""
        if match := BEGUN.match(line):
            process, call, rest = match.groups()
            self._begin(process, call, rest)
            if not line.rstrip().endswith("<unfinished ...>"):
                self._end(process, call, rest, rest)
        elif match := RESUMED.match(line):
            process, call, rest = match.groups()
            if process in self._pending:
                self._end(process, call, self._pending[process][1], rest)

    def _begin(self, process: str, call: str, arguments: str) -> None:
        path = _path(arguments)
        self._pending[process] = (call, arguments, self._written[path])
        if call in WRITES:
            if ack := ACK.search(arguments):
                self._acknowledged(int(ack[1]))
            elif self.journal(path):
                self._written[path] += 1
                self.journal_writes += 1

    def _end(self, process: str, call: str, arguments: str, rest: str) -> None:
        path = _path(arguments)
        _, _, written = self._pending.pop(process)
        if call == "openat":
            created = CREATED.search(f"{arguments} {rest}")
            if created and self.journal(created[1]):
                self._created.add(created[1])
        elif call in WRITES and self.journal(path):
            self._written[path] += 1
        elif call in SYNCS:
            returned = RETURNED.search(rest)
            if returned is None or returned[1] != "0":
                return
            if self.journal(path):
                self._synced[path] = max(self._synced[path], written)
                self.journal_syncs += 1
            self._created = {file for file in self._created if file.rsplit("/", 1)[0] != path}

    def _acknowledged(self, number: int) -> None:
        self.acks.append(number)
        dirty = [path for path, written in self._written.items() if self.journal(path) and self._synced[path] < written]
        if dirty:
            self.violations.append(f"append {number} was acknowledged while {dirty} held writes that were not synced")
        if self._created:
            self.violations.append(
                f"append {number} was acknowledged while the folder of {sorted(self._created)} was not synced"
            )


def _path(arguments: str) -> str:
    match = FD.match(arguments)
    return match[2] if match else ""
