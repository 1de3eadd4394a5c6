"""Tables of nasty values and pipelines over them, for comparing engines: the same seed gives the same files and the same text.

    python tests/nasty.py FOLDER [--seed N] [--case NAME]     writes FOLDER/NAME/{pipeline.toml,data/*.parquet}

Cases: one for each kind of source type, converted to every type that it can become; `rules` with every check, action, operator and
function; `random` with rules made up from the seed, over rows made up from it.
"""

import argparse
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import nasty_rules
import nasty_tables
from nasty_rules import Sql, toml
from nasty_values import TEXTS

SCALARS = ["int8", "int16", "int32", "int64", "float32", "float64", "decimal(9,2)", "decimal(38,10)", "decimal(38,0)", "decimal(18,18)"]
SCALARS += ["boolean", "string", "binary", "date", "timestamp"]
INTEGERS = SCALARS[:4]
NUMBERS = SCALARS[:10]
FORMATS = {
    "timestamp": ["%d.%m.%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S%.f%z", "%Y%m%dT%H%M%S%z", "%Y-%m-%d %H:%M"],
    "date": ["%d.%m.%Y", "%Y%m%d", "%Y/%m/%d"],
}
ACTIONS = ["reject", "nullify", "warn", "fail"]


@dataclass
class Case:
    """A folder for the program: a pipeline file and the Parquet file that it reads."""

    name: str
    table: pa.Table
    clean: str
    int96: bool = False

    def write(self, folder: Path) -> Path:
        """Writes both; returns the path of the pipeline file."""
        data = folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        pq.write_table(
            self.table,
            data / f"{self.name}.parquet",
            row_group_size=max(1, len(self.table) // 3),
            use_deprecated_int96_timestamps=self.int96,
            data_page_version="2.0" if len(self.name) % 2 else "1.0",
        )
        path = folder / "pipeline.toml"
        path.write_text(HEAD.format(name=self.name) + self.clean)
        return path


HEAD = """[pipeline]
name = "{name}"

[source]
path = "data/*.parquet"

[server]
http = "127.0.0.1:0"

[limits]
memory = "256MiB"

"""


def targets(source: pa.DataType) -> list[str]:
    """The types that values of a source type can become."""
    if pa.types.is_dictionary(source):
        return targets(source.value_type)
    if pa.types.is_string(source) or pa.types.is_large_string(source):
        return SCALARS
    if pa.types.is_null(source):
        return ["int32", "decimal(9,2)", "string", "timestamp", "boolean", "binary"]
    if pa.types.is_boolean(source):
        return [*INTEGERS, "boolean", "string"]
    if pa.types.is_uint64(source):
        return [*NUMBERS, "string"]
    if pa.types.is_integer(source) or pa.types.is_time(source):
        return [*NUMBERS, "boolean", "string"]
    if pa.types.is_floating(source):
        return NUMBERS
    if pa.types.is_decimal(source):
        return [*NUMBERS, "string"]
    if pa.types.is_date(source):
        return ["date", "timestamp", "string"]
    if pa.types.is_timestamp(source):
        return ["timestamp", "date"]
    if pa.types.is_binary(source) or pa.types.is_large_binary(source) or pa.types.is_fixed_size_binary(source):
        return ["binary", "string"]
    return []


def conversions(name: str, sources: dict[str, pa.Array], int96: bool = False) -> Case:
    """Every source column under each type that it can become; what does not fit is NULL and marked."""
    rows = max(len(array) for array in sources.values())
    columns, entries = {"id": pa.array(range(rows), pa.int64())}, ['id = { type = "int64", on_bad = "fail" }']
    for number, (source, array) in enumerate(sources.items()):
        whole = nasty_tables.cycled(array, rows)
        columns[source] = whole
        for index, target in enumerate(targets(array.type)):
            copy = f"{source}__{target.replace('(', '_').replace(',', '_').rstrip(')')}"
            columns[copy] = whole
            settings = [f'type = "{target}"', f'on_bad = "{"reject" if (number + index) % 40 == 39 else "nullify"}"']
            if pa.types.is_string(array.type) and target in FORMATS and number % 2:
                settings.append(f"formats = [{', '.join(map(toml, FORMATS[target]))}]")
            if target == "timestamp" and number % 3 == 1:
                settings.append(f'time_zone = "{["+02:00", "-05:30", "UTC"][index % 3]}"')
            entries.append(f"{copy} = {{ {', '.join(settings)} }}")
    return Case(name, pa.table(columns), "[clean.columns]\n" + "\n".join(entries) + "\n", int96)


def texts() -> Case:
    """Each text in a column for each type, also trimmed, in another case, with tokens for NULL and with values in place of it."""
    sources = {"text": pa.array([*TEXTS, None], pa.string()), "formatted": pa.array([None, *TEXTS], pa.string())}
    case = conversions("texts", sources)
    variants = {
        "trimmed": 'trim = true, type = "int64", on_bad = "nullify"',
        "upper": 'case = "upper", type = "string"',
        "lower": 'case = "lower", trim = true, type = "string"',
        "tokens": 'null_tokens = ["99", "-", "", " "], type = "string"',
        "filled": 'type = "decimal(9,2)", on_bad = "nullify", fill = -1.5',
        "filled_time": 'type = "timestamp", on_bad = "nullify", fill = "1970-01-01 00:00:00Z", time_zone = "+05:30"',
        "filled_date": 'type = "date", on_bad = "nullify", fill = "1582-10-10"',
        "filled_flag": 'type = "boolean", on_bad = "nullify", fill = false, trim = true',
        "strict": 'type = "string", fill = "it\'s \\\\ NULL"',
    }
    for name in variants:
        case.table = case.table.append_column(name, case.table["text"])
    # The bad texts of this one are rejects, with their reasons and what they were.
    few = [text if index % 11 == 0 else str(index) for index, text in enumerate(case.table["text"].to_pylist())]
    case.table = case.table.append_column("judged", pa.array(few, pa.string()))
    lines = [f"{name} = {{ {settings} }}" for name, settings in variants.items()] + ['judged = { type = "decimal(12,2)" }']
    case.clean = '[clean]\nnull_tokens = ["NULL", "N/A"]\n\n' + case.clean + "\n".join(lines) + "\n"
    return case


def rules(seed: int, rows: int = 400) -> Case:
    """Every check with every action that goes with it, and SQL that reaches every function and operator."""
    rng = random.Random(seed)
    table, types = nasty_tables.typed(rng, rows)
    entries = [f'{name} = {{ type = "{of}", on_bad = "nullify" }}' for name, of in types.items()]
    entries[0] = 'id = { type = "int64", on_bad = "fail" }'
    sql = Sql(rng, types)
    lines = ["[clean.columns]", *entries, "", "[clean.filter]", f"keep = {toml(f'id >= 0 OR {sql.condition()}')}", "", "[clean.derive]"]
    derived = {f"d{number}": of for number, of in enumerate(SCALARS * 3)}
    lines += [f'{name} = {{ type = "{of}", sql = {toml(derivation(rng, sql, of, 3, 0))} }}' for name, of in derived.items()]
    lines += [f'e{number} = {{ type = "{of}", sql = {toml(text)} }}' for number, (of, text) in enumerate(nasty_rules.EACH.values())]
    lines += ["", "[clean.rules]", *fixed_rules(), *random_rules(rng, sql, 40, ["warn"] * 9 + ["reject"])]
    return Case("rules", table, "\n".join(lines) + "\n")


def fixed_rules() -> list[str]:
    """Each check under each action that goes with it; those that reject or fail nearly always hold."""
    checks = {
        "not_null": ("text", '"not_null"'),
        "required": ("number", '{ required_if = "small > 3" }'),
        "range_number": ("number", "{ range = { min = -5, max = 100 } }"),
        "range_float": ("float", "{ range = { max = 1e10 } }"),
        "range_decimal": ("amount", "{ range = { min = 0.01 } }"),
        "range_time": ("at", "{ range = { min = 1582-10-15T00:00:00Z, max = 9999-12-31T23:59:59Z } }"),
        "range_date": ("day", "{ range = { min = 1900-01-01 } }"),
        "range_text": ("text", '{ range = { min = "a", max = "ß" } }'),
        "one_of_number": ("small", "{ one_of = [1, 2, 3] }"),
        "one_of_decimal": ("amount", "{ one_of = [0.5, 1, 12.25] }"),
        "one_of_text": ("text", '{ one_of = ["a", "ß", "", "it\'s", "\\\\"] }'),
        "one_of_flag": ("flag", "{ one_of = [true] }"),
        "pattern": ("text", '{ pattern = "^[A-Za-z ]*$" }'),
        "length": ("text", "{ length = { min = 1, max = 5 } }"),
        "compare": ("number", '{ compare = { op = ">", with = "small" } }'),
        "compare_float": ("float", '{ compare = { op = "<=", with = "number" } }'),
        "compare_time": ("at", '{ compare = { op = "!=", with = "day" } }'),
        "sql": ("text", "{ sql = \"text NOT IN ('a', 'b') AND number > 0\" }"),
    }
    lines = []
    for name, (column, check) in checks.items():
        lines.append(f'warn_{name} = {{ column = "{column}", check = {check}, action = "warn" }}')
        if name not in ("not_null", "required"):
            lines.append(f'nullify_{name} = {{ column = "{column}2", check = {check}, action = "nullify" }}')
        if name.startswith("range") and name != "range_text":
            lines.append(f'clamp_{name} = {{ column = "{column}3", check = {check}, action = "clamp" }}')
    lines += [
        'reject_small = { column = "small", check = { range = { max = 60 } }, action = "reject" }',
        'reject_text = { column = "text", check = { pattern = "^[^9]*$" }, action = "reject" }',
        'fail_id = { column = "id", check = "not_null", action = "fail" }',
        'fail_sql = { check = { sql = "id >= 0 OR id IS NULL" }, action = "fail" }',
        'nested_a = { column = "nested.a", check = { range = { min = 0 } }, action = "warn" }',
        'nested_d = { check = { sql = "year(dates.d) > 1900 OR dates.d < TIMESTAMP \'2020-01-01 00:00:00Z\'" }, action = "warn" }',
        'nested_c = { column = "nested.c.d", check = "not_null", action = "warn" }',
    ]
    return lines


def derivation(rng: random.Random, sql: Sql, of: str, depth: int, strict: float) -> str:
    """SQL for a derived column of a type. As often as `strict` says it may give what does not fit, which rejects the row."""
    made = sql.of_type(of, depth)
    return made if of not in NUMBERS or rng.random() < strict else f"TRY_CAST({made} AS {of})"


def random_rules(rng: random.Random, sql: Sql, count: int, actions: list[str]) -> list[str]:
    """Rules with SQL of any kind."""
    lines = []
    for number in range(count):
        action = rng.choice(actions)
        # Few rows may be rejected by a rule, or none is left to compare.
        condition = sql.condition() if action == "warn" else f"id < {rng.randint(250, 400)} OR {sql.condition()}"
        lines.append(f'r{number} = {{ check = {{ sql = {toml(condition)} }}, action = "{action}" }}')
    return lines


def made_up(seed: int, rows: int = 300) -> Case:
    """Random columns, derived columns, filter and rules over random rows."""
    rng = random.Random(seed)
    table, types = nasty_tables.typed(rng, rows)
    settings = {name: [f'type = "{of}"', f'on_bad = "{"reject" if rng.random() < 0.06 else "nullify"}"'] for name, of in types.items()}
    for name, of in types.items():
        if of == "string" and rng.random() < 0.5:
            settings[name].append(rng.choice(["trim = true", 'case = "upper"', 'case = "lower"', 'null_tokens = ["a", "12"]', 'fill = "?"']))
    sql = Sql(rng, types)
    lines = ["[clean.columns]", *(f"{name} = {{ {', '.join(parts)} }}" for name, parts in settings.items())]
    if rng.random() < 0.7:
        lines += ["", "[clean.filter]", f"keep = {toml(f'id < {rng.randint(150, 300)} OR {sql.condition()}')}"]
    lines += ["", "[clean.derive]"]
    for number in range(rng.randint(3, 8)):
        of = rng.choice(["int32", "int64", "float64", "float32", "decimal(38,6)", "decimal(9,2)", "boolean", "string", "date", "timestamp"])
        lines.append(f'd{number} = {{ type = "{of}", sql = {toml(derivation(rng, sql, of, rng.randint(1, 4), 0.1))} }}')
    lines += ["", "[clean.rules]", *random_rules(rng, sql, rng.randint(3, 10), ["warn", "reject"])]
    return Case(f"random-{seed}", table, "\n".join(lines) + "\n")


CASES: dict[str, Callable[[int], Case]] = {
    "texts": lambda seed: texts(),
    "integers": lambda seed: conversions("integers", nasty_tables.integers()),
    "numbers": lambda seed: conversions("numbers", nasty_tables.numbers()),
    "times": lambda seed: conversions("times", nasty_tables.times()),
    "nanoseconds": lambda seed: conversions("nanoseconds", nasty_tables.nanoseconds()),
    "clock": lambda seed: conversions("clock", nasty_tables.clock()),
    "int96": lambda seed: conversions("int96", nasty_tables.int96(), int96=True),
    "others": lambda seed: conversions("others", nasty_tables.others(random.Random(seed))),
    "rules": rules,
    "random": made_up,
}


def pipeline(seed: int) -> str:
    """The text of the pipeline file of the random case."""
    case = made_up(seed)
    return HEAD.format(name=case.name) + case.clean


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes tables of nasty values, and pipelines over them.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", choices=CASES, action="append")
    options = parser.parse_args()
    for name in options.case or CASES:
        print(CASES[name](options.seed).write(options.folder / name))


if __name__ == "__main__":
    main()
