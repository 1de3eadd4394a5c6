"""Random SQL of the pipeline file, always of the right types: every operator and every function of the closed list."""

import json
import random

TEXT_LITERALS = ["a", "A", "ab", "N", " x ", "ß", "İ", "é", "🙂", "it''s", ",", "\\", "12", "true", "2020-01-01", "%", "x_y", ""]
FILLED_LITERALS = [text for text in TEXT_LITERALS if text]
LIKES = ["%", "a%", "%a", "%a%", "_", "__", "a_c", "%.%", "%ß%", "%🙂%", "_🙂_", "%''%", "", "A%b_%", "%[a]%", "%$%", "%\n%"]
PATTERNS = [r"^[0-9]+$", r"\d", r"^\w+$", r"\s", "a.b", "^a", "a$", "^$", "^.$", "^..$", "(?:ab)+", "[^a-z]", "^[A-Z][a-z]*$", "x{2,3}", "a|b", r"\.", r"\$", "ß", "🙂", r"\S+@", r"^\W"]
DATES = ["2020-01-01", "1582-10-10", "0001-01-01", "9999-12-31", "1970-01-01", "2000-02-29"]
TIMES = ["2020-01-01 12:30:00Z", "1969-12-31 23:59:59.999999Z", "0001-01-01 00:00:00Z", "9999-12-31T23:59:59.999999Z", "2020-06-01T00:00:00+02:00", "1500-01-01"]
INTEGERS = ["0", "1", "-1", "2", "7", "127", "128", "-128", "1000000", "2147483648", "9223372036854775807"]
FRACTIONS = ["0.5", "-0.5", "1.5", "2.50", "0.005", "99.99", "1e0", "1.5e3", "-2e-2", "1e20"]
COMPARISONS = ["=", "!=", "<>", "<", "<=", ">", ">="]

EACH = {
    "abs": ("float64", "abs(float)"),
    "char_length": ("int32", "char_length(text)"),
    "coalesce": ("string", "coalesce(text, text2, 'none')"),
    "concat_ws": ("string", "concat_ws('-', text, text2, text3)"),
    "date_trunc": ("timestamp", "date_trunc('month', at)"),
    "day": ("int32", "day(day)"),
    "extract": ("int32", "extract(year FROM at)"),
    "hour": ("int32", "hour(at)"),
    "length": ("int32", "length(text)"),
    "lower": ("string", "lower(text)"),
    "lpad": ("string", "lpad(text, 5, 'ß🙂')"),
    "ltrim": ("string", "ltrim(text)"),
    "minute": ("int32", "minute(at)"),
    "month": ("int32", "month(at)"),
    "nullif": ("float64", "float / nullif(single, 0)"),
    "regexp_like": ("boolean", "regexp_like(text, '^[a-z]+$')"),
    "replace": ("string", "replace(text, 'a', text2)"),
    "rpad": ("string", "rpad(text, 3)"),
    "rtrim": ("string", "rtrim(text)"),
    "split_part": ("string", "split_part(text, ',', 2)"),
    "trim": ("string", "trim(text)"),
    "upper": ("string", "upper(text)"),
    "year": ("int32", "year(day)"),
    "+": ("decimal(11,2)", "amount + amount2"),
    "-": ("int64", "number - number2"),
    "*": ("decimal(19,4)", "amount * amount2"),
    "/": ("float64", "number / small"),
    "||": ("string", "text || '|' || text2"),
    "negative": ("float64", "-float"),
    "between": ("boolean", "float BETWEEN 0 AND 1.5"),
    "like": ("boolean", "text NOT LIKE '%a_%'"),
    "in": ("boolean", "text IN ('a', 'ß', '')"),
    "in floats": ("boolean", "float NOT IN (0, 0.5, 1e300)"),
    "is": ("boolean", "flag IS NOT TRUE OR (flag2 IS FALSE) OR text IS NULL"),
    "case": ("decimal(12,3)", "CASE WHEN small > 3 THEN amount WHEN flag THEN 0.005 END"),
    "case of": ("string", "CASE small WHEN 1 THEN 'one' WHEN 2 THEN 'two' ELSE text END"),
    "cast": ("int64", "CAST(text AS bigint)"),
    "cast that rounds": ("float64", "CAST(CAST(number AS real) AS double) + CAST(CAST(CAST(number AS int) AS real) AS double)"),
    "cast to time": ("timestamp", "CAST(text AS timestamp)"),
    "cast from time": ("date", "CAST(at AS date)"),
    "cast to text": ("string", "CAST(amount AS varchar) || CAST(flag AS varchar) || CAST(small AS varchar)"),
    "field": ("boolean", "nested.a > 0 AND nested.c.d IS NOT NULL"),
}
"""A derived column for each function and operator: its type and SQL, over the columns of `nasty_tables.typed`."""


def toml(text: str) -> str:
    """A text as TOML writes it."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def quoted(text: str) -> str:
    """A text literal of SQL; quotes in it are doubled already."""
    return f"'{text}'"


class Sql:
    """Expressions over columns of given types, by name; each method makes one of a kind, nested up to `depth`."""

    def __init__(self, rng: random.Random, columns: dict[str, str]):
        self.rng = rng
        self.columns = columns

    def _column(self, *types: str) -> str | None:
        names = [name for name, of in self.columns.items() if of in types]
        return self.rng.choice(names) if names else None

    def condition(self, depth: int = 3) -> str:
        """TRUE, FALSE or NULL."""
        rng, down = self.rng, depth - 1
        if depth <= 0:
            return self._column("boolean") or rng.choice(["TRUE", "FALSE"])
        makers = [
            lambda: f"({self.condition(down)} AND {self.condition(down)})",
            lambda: f"({self.condition(down)} OR {self.condition(down)})",
            lambda: f"(NOT {self.condition(down)})",
            lambda: f"({self.condition(down)} IS {rng.choice(['', 'NOT '])}{rng.choice(['TRUE', 'FALSE', 'NULL'])})",
            lambda: f"({self.any(down)} IS {rng.choice(['', 'NOT '])}NULL)",
            lambda: f"({self.number(down)} {rng.choice(COMPARISONS)} {self.number(down)})",
            lambda: f"({self.integer(down)} {rng.choice(COMPARISONS)} {rng.choice([*INTEGERS, *FRACTIONS])})",
            lambda: f"({self.text(down)} {rng.choice(COMPARISONS)} {self.text(down)})",
            lambda: f"({self.time(down)} {rng.choice(COMPARISONS)} {self.time(down)})",
            lambda: f"({self.date()} {rng.choice(COMPARISONS)} {rng.choice([self.date(), self.time(down)])})",
            lambda: f"({self.number(down)} {rng.choice(['', 'NOT '])}BETWEEN {self.number(0)} AND {self.number(0)})",
            lambda: f"({self.text(down)} {rng.choice(['', 'NOT '])}LIKE {quoted(rng.choice(LIKES))})",
            lambda: f"regexp_like({self.text(down)}, {quoted(rng.choice(PATTERNS))})",
            lambda: self._in_list(down),
            lambda: f"(CASE WHEN {self.condition(down)} THEN {self.condition(down)} ELSE {self.condition(down)} END)",
            lambda: f"coalesce({self.condition(down)}, {self.condition(down)})",
        ]
        return rng.choice(makers)()

    def _in_list(self, depth: int) -> str:
        rng = self.rng
        texts = [quoted(text) for text in rng.sample(TEXT_LITERALS, 3)]
        what, items = rng.choice([(self.integer(depth), rng.sample(INTEGERS, 3)), (self.text(depth), texts), (self.floating(depth), ["0.5", "1", "2.5"])])
        return f"({what} {rng.choice(['', 'NOT '])}IN ({', '.join(items)}))"

    def any(self, depth: int) -> str:
        """A value of any kind."""
        return self.rng.choice([self.number, self.text, self.time])(depth)

    def number(self, depth: int) -> str:
        """A number of any type."""
        return self.rng.choice([self.integer, self.floating, self.decimal])(depth)

    def integer(self, depth: int) -> str:
        """An integer; what is calculated is an int64."""
        rng, down = self.rng, depth - 1
        if depth <= 0:
            return self._column("int8", "int16", "int32", "int64") or rng.choice(INTEGERS)
        makers = [
            lambda: self.integer(0),
            lambda: f"({self.integer(down)} {rng.choice('+-*')} {self.integer(down)})",
            lambda: f"(-{self.integer(down)})",
            lambda: f"abs({self.integer(down)})",
            lambda: f"{rng.choice(['length', 'char_length'])}({self.text(down)})",
            lambda: f"{rng.choice(['year', 'month', 'day'])}({rng.choice([self.date(), self.time(down)])})",
            lambda: f"{rng.choice(['hour', 'minute'])}({self.time(down)})",
            lambda: f"extract({rng.choice(['year', 'month', 'day', 'hour', 'minute'])} FROM {self.time(down)})",
            lambda: f"nullif({self.integer(down)}, {rng.choice(['0', '1', '-1'])})",
            lambda: f"coalesce({self.integer(down)}, {self.integer(down)}, 0)",
            lambda: f"(CASE WHEN {self.condition(down)} THEN {self.integer(down)} ELSE {self.integer(down)} END)",
            lambda: f"(CASE {self.integer(down)} WHEN 1 THEN {self.integer(down)} WHEN 0 THEN 7 END)",
            lambda: f"CAST({self.text(down)} AS {rng.choice(['tinyint', 'smallint', 'int', 'bigint'])})",
            lambda: f"TRY_CAST({self.number(0)} AS {rng.choice(['int8', 'int16', 'int32', 'int64'])})",
            lambda: f"CAST({self.condition(down)} AS int)",
        ]
        return rng.choice(makers)()

    def floating(self, depth: int) -> str:
        """A float64 or float32."""
        rng, down = self.rng, depth - 1
        if depth <= 0:
            return self._column("float64", "float32") or "1.5e0"
        makers = [
            lambda: self.floating(0),
            lambda: f"({self.floating(down)} {rng.choice('+-*')} {self.number(0)})",
            lambda: f"({self.number(0)} / {rng.choice([self.number(0), f'nullif({self.number(0)}, 0)'])})",
            lambda: f"(-{self.floating(down)})",
            lambda: f"abs({self.floating(down)})",
            lambda: f"coalesce({self.floating(down)}, {self.number(0)})",
            lambda: f"nullif({self.floating(down)}, {rng.choice(['0', '0.5', '1e0'])})",
            lambda: f"(CASE WHEN {self.condition(down)} THEN {self.floating(down)} ELSE {self.number(0)} END)",
            lambda: f"CAST({rng.choice([self.text(down), self.number(0)])} AS {rng.choice(['double', 'real'])})",
        ]
        return rng.choice(makers)()

    def decimal(self, depth: int) -> str:
        """A decimal of few digits, so that what is calculated with it stays below 38."""
        rng = self.rng
        small = self._column("decimal(9,2)") or "12.50"
        if depth <= 0:
            return small
        makers = [
            lambda: small,
            lambda: f"({small} {rng.choice('+-*')} {rng.choice([small, '0.5', '3', '-0.25', self.integer(0)])})",
            lambda: f"(-{small})",
            lambda: f"abs({small})",
            lambda: f"nullif({small}, {rng.choice(['0', '0.50'])})",
            lambda: f"coalesce({small}, 1.5)",
            lambda: f"CAST({rng.choice([self.text(depth - 1), self.number(0)])} AS decimal({rng.choice(['9,2', '5,0', '12,6'])}))",
            lambda: f"(CASE WHEN {self.condition(depth - 1)} THEN {small} ELSE 0.005 END)",
        ]
        return rng.choice(makers)()

    def text(self, depth: int) -> str:
        """A text."""
        rng, down = self.rng, depth - 1
        if depth <= 0:
            column = self._column("string")
            return column if column and rng.random() < 0.8 else quoted(rng.choice(TEXT_LITERALS))
        filler, count = quoted(rng.choice(FILLED_LITERALS)), rng.choice(["1", "2", "3", "5", "12"])
        makers = [
            lambda: self.text(0),
            lambda: f"{rng.choice(['lower', 'upper', 'trim', 'btrim', 'ltrim', 'rtrim'])}({self.text(down)})",
            lambda: f"{rng.choice(['lpad', 'rpad'])}({self.text(down)}, {count}{rng.choice(['', ', ' + filler])})",
            lambda: f"split_part({self.text(down)}, {filler}, {rng.choice(['1', '2', '3'])})",
            lambda: f"replace({self.text(down)}, {filler}, {self.text(0)})",
            lambda: f"({self.text(down)} || {self.text(down)})",
            lambda: f"concat_ws({quoted(rng.choice(TEXT_LITERALS))}, {self.text(down)}, {self.text(down)})",
            lambda: f"coalesce({self.text(down)}, {self.text(down)})",
            lambda: f"nullif({self.text(down)}, {self.text(0)})",
            lambda: f"(CASE WHEN {self.condition(down)} THEN {self.text(down)} END)",
            lambda: f"CAST({rng.choice([self.integer(down), self.decimal(down), self.condition(down), self.date()])} AS varchar)",
        ]
        return rng.choice(makers)()

    def date(self) -> str:
        """A date."""
        column = self._column("date")
        return column if column and self.rng.random() < 0.8 else f"DATE '{self.rng.choice(DATES)}'"

    def time(self, depth: int) -> str:
        """A timestamp."""
        rng, down = self.rng, depth - 1
        column = self._column("timestamp")
        plain = column if column and rng.random() < 0.8 else f"TIMESTAMP '{rng.choice(TIMES)}'"
        if depth <= 0:
            return plain
        makers = [
            lambda: plain,
            lambda: f"date_trunc('{rng.choice(['minute', 'hour', 'day', 'month', 'year'])}', {self.time(down)})",
            lambda: f"coalesce({self.time(down)}, {plain})",
            lambda: f"CAST({rng.choice([self.text(down), self.date()])} AS timestamp)",
            lambda: f"(CASE WHEN {self.condition(down)} THEN {plain} ELSE {self.time(down)} END)",
        ]
        return rng.choice(makers)()

    def of_type(self, of: str, depth: int = 3) -> str:
        """An expression that a derived column of this type takes."""
        if of == "boolean":
            return self.condition(depth)
        if of == "string":
            return self.text(depth)
        if of == "timestamp":
            return self.time(depth)
        if of == "date":
            return self.rng.choice([self.date(), f"CAST({self.time(depth - 1)} AS date)", f"CAST({self.text(depth - 1)} AS date)"])
        if of == "binary":
            return f"CAST({self.text(depth - 1)} AS binary)"
        return self.number(depth)
