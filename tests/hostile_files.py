"""Files that are broken, lie, or unpack to far more than they are; the same seed gives the same files.

    python tests/hostile_files.py FOLDER [--seed N]
"""

import argparse
import random
import struct
import zlib
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

MAGIC = b"PAR1"
INT32, INT64, BYTE_ARRAY, FIXED = 1, 2, 6, 7
PLAIN, RLE, DICTIONARY, DELTA_LENGTH, DELTA_TEXT = 0, 3, 8, 6, 7
NONE, SNAPPY, GZIP, ZSTD = 0, 1, 2, 6
I32, I64, BINARY, LIST, STRUCT = 5, 6, 8, 9, 12
ROWS = 500


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def zigzag(value: int) -> bytes:
    return varint((value << 1 ^ value >> 63) & (1 << 64) - 1)


def thrift(fields: dict[int, tuple]) -> bytes:
    """A struct in Thrift's compact form: number of a field to (kind, value)."""
    out, last = b"", 0
    for number, (kind, value) in fields.items():
        out += bytes([number - last << 4 | kind]) + _value(kind, value)
        last = number
    return out + b"\0"


def _value(kind: int, value) -> bytes:
    if kind in (I32, I64):
        return zigzag(value)
    if kind == BINARY:
        return varint(len(value)) + value
    if kind == LIST:
        of, items = value
        return bytes([0xF0 | of]) + varint(len(items)) + b"".join(_value(of, item) for item in items)
    return thrift(value)


def page(kind: int, values: int, encoding: int, data: bytes, unpacked: int | None = None) -> bytes:
    """A page: `kind` 0 for data, 2 for a dictionary. `data` as it is stored, said to unpack to `unpacked` bytes."""
    inner = {1: (I32, values), 2: (I32, encoding)}
    if kind == 0:
        inner |= {3: (I32, RLE), 4: (I32, RLE)}
    size = len(data) if unpacked is None else unpacked
    return thrift({1: (I32, kind), 2: (I32, size), 3: (I32, len(data)), (7 if kind == 2 else 5): (STRUCT, inner)}) + data


def one_column(
    name: str,
    chunk: bytes,
    rows: int,
    physical: int = INT32,
    values: int | None = None,
    codec: int = NONE,
    unpacked: int | None = None,
    element: dict | None = None,
    length: int | None = None,
    start: int = 4,
) -> bytes:
    """A file with one column, whose footer says what it is told to."""
    column = {**(element or {1: (I32, physical), 3: (I32, 0)}), 4: (BINARY, name.encode())}
    meta = {
        1: (I32, physical),
        2: (LIST, (I32, [PLAIN, RLE, DICTIONARY])),
        3: (LIST, (BINARY, [name.encode()])),
        4: (I32, codec),
        5: (I64, rows if values is None else values),
        6: (I64, len(chunk) if unpacked is None else unpacked),
        7: (I64, len(chunk) if length is None else length),
        9: (I64, start),
    }
    group = {1: (LIST, (STRUCT, [{2: (I64, start), 3: (STRUCT, meta)}])), 2: (I64, meta[6][1]), 3: (I64, rows)}
    root = {4: (BINARY, b"schema"), 5: (I32, 1)}
    return whole(chunk, thrift({1: (I32, 1), 2: (LIST, (STRUCT, [root, column])), 3: (I64, rows), 4: (LIST, (STRUCT, [group]))}))


def whole(body: bytes, footer: bytes) -> bytes:
    return MAGIC + body + footer + struct.pack("<I", len(footer)) + MAGIC


def runs(count: int) -> bytes:
    """Dictionary indices: `count` times the first entry."""
    return b"\1" + varint(count << 1) + b"\0"


def table(rows: int = ROWS, first: int = 0) -> pa.Table:
    """What good files hold."""
    numbers = list(range(first, first + rows))
    return pa.table({"good_id": numbers, "good_text": [f"text {number}" for number in numbers]})


def written(of: pa.Table, **options) -> bytes:
    out = BytesIO()
    pq.write_table(of, out, **options)
    return out.getvalue()


def bombs() -> dict[str, bytes]:
    """Small files that unpack to gigabytes, or say so, or do so without saying it."""
    zeros = bytes(64 << 20)
    zstd = bytes(pa.compress(zeros, codec="zstd", asbytes=True)) * 32
    packer = zlib.compressobj(9, wbits=31)
    gzip = (packer.compress(zeros) + packer.flush()) * 16
    number, billion, most = struct.pack("<i", 7), 1 << 30, (1 << 31) - 1
    long_text = struct.pack("<I", 1 << 20) + b"x" * (1 << 20)
    packed_text = bytes(pa.compress(long_text, codec="zstd", asbytes=True))
    rle = page(2, 1, PLAIN, number) + page(0, billion, DICTIONARY, runs(billion))
    texts = page(2, 1, PLAIN, packed_text, len(long_text)) + page(0, 4_000_000, DICTIONARY, bytes(pa.compress(runs(4_000_000), codec="zstd", asbytes=True)), len(runs(4_000_000)))
    few = page(2, 1, PLAIN, packed_text, len(long_text)) + page(0, 4000, DICTIONARY, bytes(pa.compress(runs(4000), codec="zstd", asbytes=True)), len(runs(4000)))
    # Block of 2^31 values in 2^20 mini-blocks of no bits, so that the lengths alone take gigabytes.
    deltas = varint(1 << 31) + varint(4) + varint(most) + zigzag(0) + zigzag(0) + bytes(4)
    lists = {1: (I32, INT32), 3: (I32, 2)}
    levels = varint(billion - 1 << 1) + b"\1"
    nested = struct.pack("<I", len(levels) + 2) + b"\2\0" + levels
    nested += struct.pack("<I", len(varint(billion << 1)) + 1) + varint(billion << 1) + b"\1" + runs(billion)
    null = {1: (I32, FIXED), 2: (I32, most), 3: (I32, 1)}
    no_value = struct.pack("<I", 2) + varint(8000 << 1) + b"\0"
    return {
        "bomb-rle": one_column("bomb_rle", rle, billion),
        "bomb-dictionary": one_column("bomb_dictionary", texts, 4_000_000, BYTE_ARRAY, codec=ZSTD),
        "bomb-dictionary-few": one_column("bomb_dictionary_few", few, 4000, BYTE_ARRAY, codec=ZSTD),
        "bomb-zstd": one_column("bomb_zstd", page(0, 500_000_000, PLAIN, zstd, most), 500_000_000, codec=ZSTD, unpacked=most),
        "bomb-zstd-lies": one_column("bomb_zstd_lies", page(0, 250, PLAIN, zstd, 1000), 250, codec=ZSTD),
        "bomb-zstd-page": one_column("bomb_zstd_page", page(0, 250, PLAIN, zstd, most), 250, codec=ZSTD),
        "bomb-gzip-lies": one_column("bomb_gzip_lies", page(0, 250, PLAIN, gzip, 1000), 250, codec=GZIP),
        "bomb-delta": one_column("bomb_delta", page(0, 250, DELTA_LENGTH, deltas), 250, BYTE_ARRAY),
        "bomb-delta-text": one_column("bomb_delta_text", page(0, 250, DELTA_TEXT, deltas + deltas), 250, BYTE_ARRAY),
        "bomb-list": one_column("bomb_list", page(2, 1, PLAIN, number) + page(0, billion, DICTIONARY, nested), 1, values=billion, element=lists),
        "bomb-fixed": one_column("bomb_fixed", page(0, 8000, PLAIN, no_value), 8000, FIXED, element=null),
        "bomb-dictionary-count": one_column("bomb_dictionary_count", page(2, most, PLAIN, number) + page(0, 250, DICTIONARY, runs(250)), 250),
    }


def lies() -> dict[str, bytes]:
    """Footers that say what is not so."""
    values = struct.pack("<10i", *range(10))
    ten = page(0, 10, PLAIN, values)
    deep = thrift({1: (I32, 1), 2: (LIST, (STRUCT, [{4: (BINARY, b"g"), 5: (I32, 1)}] * 50_000)), 3: (I64, 0), 4: (LIST, (STRUCT, []))})
    leaf = {1: (I32, INT32), 3: (I32, 0), 4: (BINARY, b"c")}
    head = {1: (I32, 1), 2: (LIST, (STRUCT, [{4: (BINARY, b"s"), 5: (I32, 1)}, leaf])), 3: (I64, 0)}
    groups = thrift({**head, 4: (LIST, (STRUCT, [{}] * 100_000))})
    endless = thrift(head)[:-1] + bytes([0x19, 0xFC]) + varint((1 << 31) - 1)
    return {
        "lie-rows": one_column("lie_rows", ten, 1_000_000),
        "lie-more-rows": one_column("lie_more_rows", ten, 20),
        "lie-negative-rows": one_column("lie_negative_rows", ten, -5),
        "lie-length": one_column("lie_length", ten, 10, length=1 << 40),
        "lie-negative-length": one_column("lie_negative_length", ten, 10, length=-1),
        "lie-start": one_column("lie_start", ten, 10, start=1 << 40),
        "lie-negative-start": one_column("lie_negative_start", ten, 10, start=-4),
        "lie-page": one_column("lie_page", page(0, 10, PLAIN, values, (1 << 31) - 1), 10),
        "lie-negative-page": one_column("lie_negative_page", page(0, 10, PLAIN, values, -1), 10, codec=SNAPPY),
        "lie-encoding": one_column("lie_encoding", page(0, 10, 99, values), 10),
        "lie-deep": whole(b"", deep),
        "lie-row-groups": whole(b"", groups),
        "lie-endless-list": whole(b"", endless),
        "lie-long-footer": MAGIC + b"x" * 100 + struct.pack("<I", (1 << 32) - 1) + MAGIC,
    }


def broken(seed: int, each: int) -> dict[str, bytes]:
    """A good file cut off, with bits flipped, with other bytes in it."""
    rng = random.Random(seed)
    files = {}
    for name, options in [("plain", {"compression": "none"}), ("snappy", {}), ("v2", {"data_page_version": "2.0", "compression": "zstd"})]:
        good = written(table(), row_group_size=200, **options)
        files[f"cut-{name}"] = good[: rng.randrange(12, len(good))]
        for number in range(each):
            bad = bytearray(good)
            for _ in range(rng.choice([1, 1, 4, 30])):
                bad[rng.randrange(4, len(bad))] ^= 1 << rng.randrange(8)
            files[f"flip-{name}-{number}"] = bytes(bad)
            footer = len(good) - 8 - struct.unpack("<I", good[-8:-4])[0]
            bad = bytearray(good)
            bad[rng.randrange(footer, len(good) - 8)] = rng.randrange(256)
            files[f"footer-{name}-{number}"] = bytes(bad)
    return files


def odd() -> dict[str, bytes]:
    """Files that are right, or nearly so, and seldom seen."""
    good = written(table())
    twice = pa.Table.from_arrays([pa.array([1, 2]), pa.array([3, 4])], names=["twice", "twice"])
    case = pa.table({"one": [1], "ONE": [2]})
    long = pa.table({"long_text": ["a" * (10 << 20), "short", "b" * (10 << 20)]})
    return {
        "odd-empty": b"",
        "odd-text": b"id,name\n1,a\n" * 20,
        "odd-magic": good[:-4] + b"PAR2",
        "odd-no-magic-in-front": b"XXXX" + good[4:],
        "odd-no-rows": written(table(0)),
        "odd-no-columns": written(pa.table({"x": [1, 2, 3]}).select([])),
        "odd-twice": written(twice),
        "odd-case": written(case),
        "odd-long": written(long, compression="none"),
        "odd-brotli": written(pa.table({"odd_b": ["q" * 50] * 300}), compression="brotli"),
        "odd-gzip": written(pa.table({"odd_g": [f"{n * 7919 % 100_003}" for n in range(100_000)]}), compression="gzip"),
        "odd-delta": written(pa.table({"odd_d": [f"prefix {n}" for n in range(1000)]}), use_dictionary=False, column_encoding={"odd_d": "DELTA_BYTE_ARRAY"}),
    }


def wide(columns: int = 2000) -> bytes:
    return written(pa.table({f"w{number}": list(range(10)) for number in range(columns)}))


def good() -> dict[str, bytes]:
    """Three good files: one before, one among and one behind the others in the order of names."""
    names = ["aaa-good", "good-among", "zzz-good"]
    return {name: written(table(ROWS, number * ROWS), compression=codec) for number, (name, codec) in enumerate(zip(names, ["snappy", "zstd", "none"]))}


def generated(seed: int, each: int = 4) -> dict[str, bytes]:
    """All but the wide one."""
    return {**bombs(), **lies(), **broken(seed, each), **odd()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes hostile Parquet files.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, content in {**generated(options.seed), **good(), "wide": wide()}.items():
        (options.folder / f"{name}.parquet").write_bytes(content)
