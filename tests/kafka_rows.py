"""What the topics of a pipeline hold, row by row, as a plain consumer with `read_committed` sees it.

A record is one Arrow IPC stream, or one row as JSON; its header `millstream` tells the facts about it. Judged by other
means than the program's own: every row once, and no hole in the numbers (`seq`) of a publisher's records.
"""

import json
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa
from compare import identities
from expected import Outcomes
from kafka import Record, Settings, read_topic, topics

HEADER = "millstream"
NO_SETTINGS: Settings = {}
SUFFIXES = ["", ".rejects", ".progress", ".dedup"]
"""Of the topics of a pipeline, behind the name that it gives."""


@dataclass
class Rows:
    """The rows of a topic."""

    identities: pa.Table
    """`_file` and `_row` of each."""
    problems: list[str] = field(default_factory=list)
    """What is wrong with its records, in words."""


def decode(value: bytes) -> list[dict]:
    """The rows of a record."""
    if value.startswith(b"{"):
        return [json.loads(value)]
    with pa.ipc.open_stream(value) as stream:
        return stream.read_all().to_pylist()


def identities_of(value: bytes) -> list[tuple[str, int]]:
    """`_file` and `_row` of each row of a record."""
    if value.startswith(b"{"):
        row = json.loads(value)
        return [(row["_file"], row["_row"])]
    with pa.ipc.open_stream(value) as stream:
        columns = stream.read_all().select(["_file", "_row"]).to_pydict()
    return list(zip(columns["_file"], columns["_row"]))


def rows_of(records: list[Record]) -> Rows:
    """Opens records, which are sorted by partition and offset."""
    files, numbers, problems = [], [], []
    last_seqs: dict[tuple[int, int], int] = {}
    for record in records:
        where = f"partition {record.partition} offset {record.offset}"
        try:
            header = json.loads(record.headers[HEADER])
            found = identities_of(record.value or b"")
        except (KeyError, ValueError, pa.ArrowException) as error:
            problems.append(f"{where}: no record of millstream ({type(error).__name__}: {error})")
            continue
        if header["rows"] != len(found):
            problems.append(f"{where}: {len(found)} rows, its header says {header['rows']}")
        writer = (header["publisher"], record.partition)
        before = last_seqs.get(writer)
        if before is not None and header["seq"] != before + 1:
            problems.append(f"{where}: publisher {header['publisher']} has seq {header['seq']} after {before}")
        last_seqs[writer] = header["seq"]
        files += [file for file, _ in found]
        numbers += [number for _, number in found]
    return Rows(pa.table({"_file": pa.array(files, pa.string()), "_row": pa.array(numbers, pa.int64())}), problems)


def topic_differences(
    bootstrap: str, topic: str, outcomes: Outcomes, whole: bool, settings: Settings = NO_SETTINGS
) -> list[str]:
    """Everything that is not as it must be in `topic` and its rejects, in words; empty if all is well.

    `whole`: the topics still hold all that was ever written; otherwise rows may be missing, but none be twice or elsewhere.
    `settings`: how the consumer logs in.
    """
    found = []
    with duckdb.connect() as database:
        for name in ["delivered", "rejected", "duplicate", "filtered"]:
            database.register(name, getattr(outcomes, name))
        for name, expected in [(topic, "delivered"), (f"{topic}.rejects", "rejected")]:
            rows = rows_of(read_topic(bootstrap, name, settings=settings))
            found += [f"topic {name}: {problem}" for problem in rows.problems[:3]]
            database.register("consumed", rows.identities)
            found += [f"topic {name}: {text}" for text in identities(database, "consumed", expected, complete=whole)]
    return found


def topics_of(bootstrap: str, topic: str) -> list[str]:
    """The topics of a pipeline that are there."""
    there = topics(bootstrap)
    return [topic + suffix for suffix in SUFFIXES if topic + suffix in there]
