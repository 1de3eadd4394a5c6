"""The generator of nasty tables: what it must reach, and that a seed says all."""

import re
import tempfile
import unittest
from pathlib import Path

import pyarrow as pa

import nasty
import nasty_rules
import nasty_values
from program import ROOT

CORE = ROOT / "crates" / "millstream-core" / "src"


def stored(table: pa.Table) -> bytes:
    """All of a table, NaN and -0.0 told apart."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


class Reach(unittest.TestCase):
    def test_every_function_of_the_list_has_a_column_of_its_own(self):
        source = (CORE / "expr" / "functions.rs").read_text()
        names = re.search(r'pub const NAMES: &str = "([^"]+)"', source)[1].split(", ")
        missing = [name for name in names if f"{name}(" not in nasty_rules.EACH.get(name, ("", ""))[1]]
        self.assertEqual(missing, [], "add it to nasty_rules.EACH")

    def test_every_check_stands_under_every_action_that_goes_with_it(self):
        source = (CORE / "config" / "rules.rs").read_text()
        checks = re.findall(r'section\.take\("(\w+)"\)', source.split("fn read_check")[1].split("fn read_range")[0])
        rules = "\n".join(nasty.fixed_rules())
        self.assertEqual([check for check in checks if f"{{ {check} =" not in rules], [])
        for action in ["reject", "nullify", "clamp", "warn", "fail"]:
            self.assertIn(f'action = "{action}"', rules)

    def test_every_type_and_what_a_bad_value_does_is_declared(self):
        text = "".join(make(1).clean for make in nasty.CASES.values())
        for of in nasty.SCALARS:
            self.assertIn(f'type = "{of}"', text)
        for on_bad in ["reject", "nullify", "fail"]:
            self.assertIn(f'on_bad = "{on_bad}"', text)

    def test_texts_hold_letters_of_every_width(self):
        widths = {len(letter.encode()) for text in nasty_values.TEXTS for letter in text}
        self.assertEqual(widths, {1, 2, 3, 4})


class Seeds(unittest.TestCase):
    def test_a_seed_says_all(self):
        for name, make in nasty.CASES.items():
            one, two = make(7), make(7)
            self.assertEqual(one.clean, two.clean, name)
            self.assertEqual(stored(one.table), stored(two.table), name)
        self.assertEqual(nasty.pipeline(7), nasty.pipeline(7))
        self.assertNotEqual(nasty.pipeline(7), nasty.pipeline(8))

    def test_a_case_is_a_pipeline_file_and_its_data(self):
        with tempfile.TemporaryDirectory() as folder:
            path = nasty.CASES["int96"](1).write(Path(folder) / "x")
            self.assertEqual(path.name, "pipeline.toml")
            self.assertEqual([file.name for file in (path.parent / "data").iterdir()], ["int96.parquet"])


if __name__ == "__main__":
    unittest.main()
