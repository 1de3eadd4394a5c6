"""Arrow tables of nasty values: a column for each type that a Parquet file can hold."""

import decimal
import math
import random

import pyarrow as pa

import nasty_values as values

ZONES = {"": None, "_utc": "UTC", "_berlin": "Europe/Berlin"}


def cycled(array: pa.Array, rows: int) -> pa.Array:
    """The values again from the start until there are as many as rows."""
    return array.take(pa.array([index % len(array) for index in range(rows)]))


def with_null(found: list, of: pa.DataType) -> pa.Array:
    return pa.array([*found, None], of)


def integers() -> dict[str, pa.Array]:
    """Signed and unsigned, their ends."""
    found = {}
    for bits in (8, 16, 32, 64):
        found[f"int{bits}"] = with_null(values.integers(bits), getattr(pa, f"int{bits}")())
        found[f"uint{bits}"] = with_null(values.integers(bits, signed=False), getattr(pa, f"uint{bits}")())
    return found


def numbers() -> dict[str, pa.Array]:
    """Floats and decimals."""
    found = {"float32": with_null(values.FLOAT32S, pa.float32()), "float64": with_null(values.FLOAT64S, pa.float64())}
    for precision, scale in [(1, 0), (5, 5), (9, 2), (18, 4), (19, 0), (38, 0), (38, 10), (38, 38)]:
        found[f"decimal_{precision}_{scale}"] = with_null(values.decimals(precision, scale), pa.decimal128(precision, scale))
    return found


def times() -> dict[str, pa.Array]:
    """Dates, and timestamps of every unit but nanoseconds, with and without a zone."""
    found = {
        "date": with_null([*values.DAYS, *values.FAR_DAYS], pa.date32()),
        "date64": with_null([day * 86_400_000 for day in values.DAYS], pa.date64()),
    }
    for suffix, zone in ZONES.items():
        found[f"time_s{suffix}"] = with_null([micros // 1_000_000 for micros in values.MICROS], pa.timestamp("s", zone))
        found[f"time_ms{suffix}"] = with_null([micros // 1_000 for micros in values.MICROS], pa.timestamp("ms", zone))
        found[f"time_us{suffix}"] = with_null(values.MICROS, pa.timestamp("us", zone))
    return found


def nanoseconds() -> dict[str, pa.Array]:
    """Timestamps in nanoseconds; not every reader of Parquet takes them."""
    return {f"time_ns{suffix}": with_null(values.NANOS, pa.timestamp("ns", zone)) for suffix, zone in ZONES.items()}


def clock() -> dict[str, pa.Array]:
    """Times of day; not every reader of Parquet takes each unit."""
    return {
        "time32": with_null([0, 1, 43_200_123, 86_399_999], pa.time32("ms")),
        "time64": with_null([0, 1, 43_200_123_456, 86_399_999_999], pa.time64("us")),
        "time64_ns": with_null([0, 1, 999, 43_200_123_456_789, 86_399_999_999_999], pa.time64("ns")),
    }


def int96() -> dict[str, pa.Array]:
    """Timestamps as old writers store them."""
    near = [micros for micros in values.MICROS if abs(micros) < 9_000_000_000_000_000]
    return {"int96_us": with_null(near, pa.timestamp("us")), "int96_ns": with_null(values.NANOS, pa.timestamp("ns"))}


def others(rng: random.Random) -> dict[str, pa.Array]:
    """Truth values, texts and bytes in every form, NULL, and nested types."""
    days = [*values.DAYS, *values.FAR_DAYS, None]
    plain = rng.sample(values.TEXTS, 60)
    numbers = [0, 1, None, -1, 2**31 - 1]
    struct = pa.struct([("a", pa.int32()), ("b", pa.string()), ("c", pa.struct([("d", pa.float64())]))])
    inner = [{"a": number, "b": text, "c": {"d": value}} for number, text, value in zip(numbers, plain, [0.5, -0.0, math.nan, None, math.inf])]
    return {
        "flag": pa.array([True, False, None]),
        "large_text": with_null(plain, pa.large_string()),
        "dictionary": with_null(plain, pa.string()).dictionary_encode(),
        "dictionary_number": with_null(values.integers(32), pa.int32()).dictionary_encode(),
        "bytes": with_null(values.BLOBS, pa.binary()),
        "large_bytes": with_null(values.BLOBS, pa.large_binary()),
        "fixed_bytes": with_null([b"\0\0\0\0", b"abcd", b"\xff\xff\xff\xff"], pa.binary(4)),
        "nothing": pa.nulls(3),
        "list": pa.array([[1, None, -1], [], None, [2**31 - 1]], pa.list_(pa.int32())),
        "list_text": pa.array([plain[:5], [], [None], None], pa.list_(pa.string())),
        "large_list": pa.array([[0.5, math.nan, -0.0], [], None], pa.large_list(pa.float64())),
        "list_unsigned": pa.array([[0, 255], None, []], pa.list_(pa.uint8())),
        "list_decimal": pa.array([[decimal.Decimal("1.50"), None], [], None], pa.list_(pa.decimal128(9, 2))),
        "list_time": pa.array([[0, None, -1], None, []], pa.list_(pa.timestamp("us", "UTC"))),
        "list_date": pa.array([days, [], [None], None], pa.list_(pa.date32())),
        "struct_date": pa.array([*({"d": day} for day in days), None], pa.struct([("d", pa.date32())])),
        "nested": pa.array([*inner, None, {"a": None, "b": None, "c": None}], struct),
        "map": pa.array([[("a", 1), ("ß", None)], [], None], pa.map_(pa.string(), pa.int64())),
        "list_struct": pa.array([inner[:2], [None], [], None], pa.list_(struct)),
    }


def typed(rng: random.Random, rows: int) -> tuple[pa.Table, dict[str, str]]:
    """Rows for rules: columns by kind, three of each (`text`, `text2`, `text3`), ordinary values mixed with nasty ones, a fifth of
    them NULL; and the types that a pipeline declares for those that rules use."""

    def some(ordinary: list, nasty: list, of: pa.DataType) -> pa.Array:
        pick = [lambda: None, lambda: rng.choice(nasty), *[lambda: rng.choice(ordinary)] * 3]
        return pa.array([rng.choice(pick)() for _ in range(rows)], of)

    words = ["a", "b", "A", "ab", "a,b", "it's", " x ", "12", "-1.5", "true", "2020-01-01", "2020-01-01 12:30:00", "ß", "🙂", ""]
    cents = [decimal.Decimal(cent) / 100 for cent in (0, 1, -1, 50, 100, 1_225, 99_999)]
    makers = {
        "text": ("string", lambda: some(words, values.TEXTS, pa.string())),
        "small": ("int32", lambda: some(list(range(-2, 8)), values.integers(32), pa.int32())),
        "tiny": ("int8", lambda: some(list(range(-2, 8)), values.integers(8), pa.int8())),
        "number": ("int64", lambda: some(list(range(-5, 20)), values.integers(64), pa.int64())),
        "float": ("float64", lambda: some([0.0, 0.5, -1.5, 2.0, 100.25], values.FLOAT64S, pa.float64())),
        "single": ("float32", lambda: some([0.0, 0.5, -1.5, 2.0], values.FLOAT32S, pa.float32())),
        "amount": ("decimal(9,2)", lambda: some(cents, values.decimals(9, 2), pa.decimal128(9, 2))),
        "flag": ("boolean", lambda: some([True], [False], pa.bool_())),
        "day": ("date", lambda: some([0, 18_262, 18_263], values.DAYS, pa.date32())),
        "at": ("timestamp", lambda: some([0, 1_577_881_800_000_000], values.MICROS, pa.timestamp("us", "UTC"))),
        "written": ("decimal(9,2)", lambda: some(["1", "0.5", "12.25"], values.NUMBER_TEXTS, pa.string())),
        "counted": ("int64", lambda: some(["1", "2", "300"], values.NUMBER_TEXTS, pa.string())),
        "told": ("timestamp", lambda: some(["2020-01-01 12:30:00"], values.TIME_TEXTS, pa.string())),
        "dated": ("date", lambda: some(["2020-01-01"], values.DATE_TEXTS, pa.string())),
    }
    columns: dict[str, pa.Array] = {"id": pa.array(range(rows), pa.int64())}
    types = {"id": "int64"}
    for name, (of, make) in makers.items():
        for suffix in ["", "2", "3"]:
            columns[name + suffix] = make()
            types[name + suffix] = of
    nested = others(rng)
    columns["nested"] = cycled(nested["nested"], rows)
    columns["dates"] = cycled(nested["struct_date"], rows)
    return pa.table(columns), types
