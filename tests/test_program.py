"""The pipeline file of a test is the example's with some settings changed, and nothing else."""

import tomllib
import unittest

from program import EXAMPLE, adapt, without

TEXT = (EXAMPLE / "pipeline.toml").read_text()


class AdaptedPipelines(unittest.TestCase):
    def check(self, **settings: str):
        """Only these settings differ from the example's."""
        names = {name.replace("__", "."): value for name, value in settings.items()}
        wanted = tomllib.loads(TEXT)
        for name, value in names.items():
            *section, key = name.split(".")
            table = wanted
            for part in section:
                table = table.setdefault(part, {})
            table[key] = tomllib.loads(f"value = {value}")["value"]
        self.assertEqual(tomllib.loads(adapt(TEXT, names)), wanted)

    def test_without_settings_nothing_changes(self):
        self.check()

    def test_a_written_setting_is_replaced(self):
        self.check(source__pace='"max"', server__http='"127.0.0.1:0"')

    def test_a_missing_setting_is_added_to_its_section(self):
        self.check(archive__path='"./elsewhere"')
        self.check(source__parallel_splits="4", limits__query_rows="5", clean__drift__added='"ignore"')

    def test_the_same_key_of_another_section_is_left_alone(self):
        self.check(stream__retention='"1s"')

    def test_a_section_can_be_added_below_another(self):
        kafka = {"stream__kafka__brokers": '"127.0.0.1:1"', "stream__kafka__replication": "3"}
        self.check(stream__format='"json"', stream__kafka__sasl__username='"ada"', **kafka)

    def test_a_section_can_be_left_out(self):
        wanted = tomllib.loads(TEXT)
        del wanted["clean"]["dedup"]
        self.assertEqual(tomllib.loads(without(TEXT, "clean.dedup")), wanted)


if __name__ == "__main__":
    unittest.main()
