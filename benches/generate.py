"""Makes a large source from the real trips of the example: all columns, several Parquet files, zstd(1).

Each repetition of the real rows is shifted by one more microsecond, which no real trip has: so no two rows are equal, and
dedup keeps them all. What was made stays in a cache folder outside of the checkout.

    python benches/generate.py [--rows 10000000]     prints the folder
"""

import argparse
import hashlib
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "examples" / "nyc-taxi" / "data"
ROWS = 10_000_000
FILE_ROWS = 2_500_000
ROW_GROUP_ROWS = 1_000_000


def cached(rows: int = ROWS) -> Path:
    """The folder with that many rows; made if it is not there yet."""
    made_from = hashlib.sha256(Path(__file__).read_bytes())
    for path in _months():
        made_from.update(path.read_bytes())
    cache = Path(os.environ.get("MILLSTREAM_CACHE") or Path.home() / ".cache" / "millstream")
    folder = cache / f"bench-{rows}-{made_from.hexdigest()[:12]}"
    if not folder.is_dir():
        begun = folder.with_name(f"{folder.name}.{os.getpid()}")
        begun.mkdir(parents=True)
        try:
            generate(begun, rows)
            begun.rename(folder)
        finally:
            shutil.rmtree(begun, ignore_errors=True)
    return folder


def generate(folder: Path, rows: int, file_rows: int = FILE_ROWS, row_group_rows: int = ROW_GROUP_ROWS) -> None:
    """Writes `rows` rows into `folder`."""
    repeated = Repeated(real_trips())
    for number in range(-(-rows // file_rows)):
        left = min(file_rows, rows - number * file_rows)
        path = folder / f"trips-{number:03}.parquet"
        print(f"writing {path.name}: {left:,} rows", flush=True)
        _write(path, repeated, left, row_group_rows)


def _months() -> list[Path]:
    """The files with the one schema that has most rows; a redelivery would be dropped by dedup."""
    return sorted(path for path in SOURCE.glob("yellow_tripdata_*.parquet") if path.stem.count(".") == 0)


def real_trips() -> pa.Table:
    """The rows of the example under one schema."""
    tables = [pq.read_table(path) for path in _months()]
    schema = next(table.schema for table in tables if pa.types.is_floating(table.schema.field("congestion_surcharge").type))
    return pa.concat_tables([table.cast(schema.remove_metadata()) for table in tables])


class Repeated:
    """The real rows again and again, each time one microsecond later; taken in pieces of any size."""

    def __init__(self, real: pa.Table):
        self.real, self.repeat, self.at = real, 0, 0

    def take(self, count: int) -> pa.Table:
        pieces = []
        while count:
            piece = self.real.slice(self.at, count)
            pieces.append(_later(piece, self.repeat))
            count -= piece.num_rows
            self.at += piece.num_rows
            if self.at == self.real.num_rows:
                self.at, self.repeat = 0, self.repeat + 1
        return pa.concat_tables(pieces).combine_chunks()


def _later(table: pa.Table, microseconds: int) -> pa.Table:
    for name in ["pickup_datetime", "dropoff_datetime"]:
        shift = pa.scalar(microseconds, pa.duration("us"))
        table = table.set_column(table.schema.get_field_index(name), name, pc.add(table[name], shift))
    return table


def _write(path: Path, repeated: Repeated, rows: int, row_group_rows: int) -> None:
    writer = None
    while rows:
        group = repeated.take(min(rows, row_group_rows))
        if writer is None:
            writer = pq.ParquetWriter(path, group.schema, compression="zstd", compression_level=1)
        writer.write_table(group, row_group_size=row_group_rows)
        rows -= group.num_rows
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    print(cached(parser.parse_args().rows))


if __name__ == "__main__":
    main()
