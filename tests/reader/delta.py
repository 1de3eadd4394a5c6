"""One Delta table: its log replayed by the protocol's text, its live files read whole."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

COMMIT = re.compile(r"^(\d{20})\.json$")
CHECKPOINT = re.compile(r"^(\d{20})\.checkpoint(?:\.(\d{10})\.(\d{10}))?\.parquet$")
READER_FEATURES = {"timestampNtz"}
IGNORED = {"commitInfo", "domainMetadata", "checkpointMetadata"}


class Inconsistent(Exception):
    """The table is not what its log says."""


@dataclass
class State:
    """What the log says up to `version`."""

    version: int = -1
    adds: dict[str, dict] = field(default_factory=dict)
    """Live files: path as in the log -> its add action."""
    txns: dict[str, int] = field(default_factory=dict)
    metadata: dict | None = None
    protocol: dict | None = None

    def apply(self, action: dict, where: str) -> None:
        """Takes one action of a commit into account."""
        kinds = [kind for kind, body in action.items() if body is not None]
        if len(kinds) != 1:
            raise Inconsistent(f"{where}: an action with {kinds}")
        kind, body = kinds[0], action[kinds[0]]
        if kind == "add":
            self._add(body, where)
        elif kind == "remove":
            if self.adds.pop(body["path"], None) is None:
                raise Inconsistent(f"{where}: removes `{body['path']}`, which is not live")
        elif kind == "txn":
            self._txn(body, where)
        elif kind == "metaData":
            self.metadata = body
        elif kind == "protocol":
            self.protocol = body
        elif kind not in IGNORED:
            raise Inconsistent(f"{where}: action `{kind}`, which this reader does not know")

    def _add(self, body: dict, where: str) -> None:
        if body["path"] in self.adds:
            raise Inconsistent(f"{where}: adds `{body['path']}`, which is live already")
        if body.get("deletionVector"):
            raise Inconsistent(f"{where}: `{body['path']}` has a deletion vector, which this reader does not know")
        self.adds[body["path"]] = body

    def _txn(self, body: dict, where: str) -> None:
        before = self.txns.get(body["appId"])
        if before is not None and body["version"] < before:
            raise Inconsistent(f"{where}: txn `{body['appId']}` goes back from {before} to {body['version']}")
        self.txns[body["appId"]] = body["version"]


@dataclass
class Table:
    """A table as read: `rows` holds the columns of its schema, partition columns included."""

    version: int
    commits: int
    """Versions, counted from 0."""
    schema: dict
    partition_columns: list[str]
    files: list[str]
    bytes: int
    txns: dict[str, int]
    rows: pa.Table


def read_table(folder: Path, version: int | None = None) -> Table:
    """Reads the table in `folder`, as of `version` (default: the newest)."""
    state = replay(folder, version)
    if state.metadata is None or state.protocol is None:
        raise Inconsistent(f"{folder}: the log has no metaData or no protocol up to version {state.version}")
    _check_protocol(folder, state.protocol)
    schema = json.loads(state.metadata["schemaString"])
    partition_columns = list(state.metadata.get("partitionColumns") or [])
    parts = [_read_file(folder, add, partition_columns) for add in state.adds.values()]
    names = [column["name"] for column in schema["fields"]]
    if parts:
        rows = pa.concat_tables(parts, promote_options="permissive")
        for name in names:
            if name not in rows.column_names:
                rows = rows.append_column(name, pa.nulls(rows.num_rows))
        unknown = set(rows.column_names) - set(names)
        if unknown:
            raise Inconsistent(f"{folder}: files have columns that the schema has not: {sorted(unknown)}")
        rows = rows.select(names)
    else:
        rows = pa.table({name: pa.nulls(0) for name in names})
    return Table(
        version=state.version,
        commits=state.version + 1,
        schema=schema,
        partition_columns=partition_columns,
        files=list(state.adds),
        bytes=sum(add["size"] for add in state.adds.values()),
        txns=state.txns,
        rows=rows,
    )


def count_rows(folder: Path) -> int:
    """Rows of the table in `folder` as its log counts them, without a look at the files; 0 as long as there is no version."""
    try:
        adds = replay(folder).adds.values()
    except (Inconsistent, FileNotFoundError):
        return 0
    return sum(json.loads(add["stats"])["numRecords"] for add in adds)


def replay(folder: Path, version: int | None = None) -> State:
    """Replays the log: from the first commit if it is still there, otherwise from a checkpoint."""
    log = folder / "_delta_log"
    if not log.is_dir():
        raise Inconsistent(f"{log}: no such folder")
    commits, checkpoints = _list(log)
    if version is not None:
        commits = {number: path for number, path in commits.items() if number <= version}
        checkpoints = {number: parts for number, parts in checkpoints.items() if number <= version}
    if not commits and not checkpoints:
        raise Inconsistent(f"{log}: neither a commit nor a checkpoint")
    end = max([*commits, *checkpoints])
    if version is not None and end != version:
        raise Inconsistent(f"{log}: there is no version {version}, the newest is {end}")
    state = State()
    start = _first_of_the_last_run(commits, end)
    if start > 0:
        usable = [number for number in checkpoints if start - 1 <= number <= end]
        if not usable:
            raise Inconsistent(f"{log}: commits before {start} are gone and no checkpoint stands for them")
        state = _from_checkpoint(min(usable), checkpoints[min(usable)])
    for number in range(state.version + 1, end + 1):
        _apply_commit(state, number, commits[number])
        if number in checkpoints:
            _compare(state, _from_checkpoint(number, checkpoints[number]), log)
    return state


def _list(log: Path) -> tuple[dict[int, Path], dict[int, list[Path]]]:
    commits, checkpoints, parts_of = {}, {}, {}
    for path in log.iterdir():
        if match := COMMIT.match(path.name):
            commits[int(match[1])] = path
        elif match := CHECKPOINT.match(path.name):
            checkpoints.setdefault(int(match[1]), []).append(path)
            parts_of[int(match[1])] = int(match[3] or 1)
    whole = {number: sorted(parts) for number, parts in checkpoints.items() if len(parts) == parts_of[number]}
    return commits, whole


def _first_of_the_last_run(commits: dict[int, Path], end: int) -> int:
    """The lowest commit from which all commits up to `end` are there (`end + 1` if the last one is not)."""
    first = end + 1
    while first - 1 in commits:
        first -= 1
    if any(number < first for number in commits) and first > 0 and min(commits) == 0:
        raise Inconsistent(f"the log has a hole: commit {first - 1} is missing, earlier ones are there")
    return first


def _apply_commit(state: State, number: int, path: Path) -> None:
    actions = []
    for line, text in enumerate(path.read_text().splitlines(), start=1):
        if not text.strip():
            continue
        try:
            actions.append((json.loads(text), f"{path.name}:{line}"))
        except ValueError as error:
            raise Inconsistent(f"{path}:{line}: no JSON: {error}") from error
    if not actions:
        raise Inconsistent(f"{path}: an empty commit")
    touched = [action[kind]["path"] for action, _ in actions for kind in ("add", "remove") if action.get(kind)]
    if len(touched) != len(set(touched)):
        raise Inconsistent(f"{path}: touches a file twice")
    apps = [action["txn"]["appId"] for action, _ in actions if action.get("txn")]
    if len(apps) != len(set(apps)):
        raise Inconsistent(f"{path}: sets a txn twice")
    for action, where in actions:
        state.apply(action, where)
    state.version = number


def _from_checkpoint(number: int, parts: list[Path]) -> State:
    state = State(version=number)
    for path in parts:
        for row, action in enumerate(pq.read_table(path, partitioning=None).to_pylist()):
            action = {kind: body for kind, body in action.items() if body is not None and kind != "remove"}
            if not action:
                continue
            if "add" in action:
                action["add"]["partitionValues"] = dict(action["add"]["partitionValues"])
            state.apply(action, f"{path.name} row {row}")
    return state


def _compare(replayed: State, checkpoint: State, log: Path) -> None:
    if set(replayed.adds) != set(checkpoint.adds) or replayed.txns != checkpoint.txns:
        raise Inconsistent(f"{log}: the checkpoint of version {checkpoint.version} differs from the commits up to it")


def _check_protocol(folder: Path, protocol: dict) -> None:
    features = set(protocol.get("readerFeatures") or [])
    if protocol["minReaderVersion"] not in (1, 3) or not features <= READER_FEATURES:
        raise Inconsistent(f"{folder}: protocol {protocol} is more than this reader knows")


def _read_file(folder: Path, add: dict, partition_columns: list[str]) -> pa.Table:
    path = folder / unquote(add["path"])
    if not path.is_file():
        raise Inconsistent(f"{folder}: `{add['path']}` is live but missing")
    if path.stat().st_size != add["size"]:
        raise Inconsistent(f"{path}: {path.stat().st_size} bytes, the log says {add['size']}")
    try:
        rows = pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise Inconsistent(f"{path}: {error}") from error
    if add.get("stats"):
        counted = json.loads(add["stats"]).get("numRecords")
        if counted is not None and counted != rows.num_rows:
            raise Inconsistent(f"{path}: {rows.num_rows} rows, the log says {counted}")
    if set(add["partitionValues"]) != set(partition_columns):
        raise Inconsistent(f"{path}: partition values {add['partitionValues']}, the table has {partition_columns}")
    for name in partition_columns:
        if name in rows.column_names:
            raise Inconsistent(f"{path}: holds the partition column `{name}`")
        rows = rows.append_column(name, pa.array([add["partitionValues"][name]] * rows.num_rows, pa.string()))
    return rows
