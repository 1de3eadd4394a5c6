"""What is known about a server without asking it, its messages, and what spark.sh refuses before it starts one."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from program import Failure
from spark import SCRIPT, Address, GivenServer, OfVersion, Server, bytes_field, fields, parquet_files, query, server_for_tests


class Temporary(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


class Addresses(Temporary):
    def test_an_address_reads_back_from_its_text(self):
        for text in ["sc://127.0.0.1:15002", "sc://spark:15002/;token=a=b"]:
            self.assertEqual(str(Address.parse(text)), text)

    def test_parameters_beside_the_token_are_left_out(self):
        self.assertEqual(Address.parse("sc://h:1/;use_ssl=true;token=t;user_id=u"), Address("h:1", "t"))

    def test_another_scheme_is_refused(self):
        with self.assertRaisesRegex(Failure, "begins with sc://"):
            Address.parse("http://127.0.0.1:15002")

    def test_the_address_of_a_server_holds_port_and_token(self):
        (self.folder / "server").write_text("port=19000\ncluster=no\naddress=sc://127.0.0.1:19000\n")
        server = Server(self.folder, token="secret")
        self.assertEqual(server.address, "sc://127.0.0.1:19000/;token=secret")
        self.assertEqual(server.port, 19000)

    def test_stopping_what_was_never_started_does_nothing(self):
        Server(self.folder).stop()


class WhichServer(Temporary):
    def test_without_a_name_the_tests_have_one_of_their_own(self):
        self.assertIsInstance(server_for_tests(self.folder, {}), Server)

    def test_the_named_server_is_used_and_never_killed(self):
        server = server_for_tests(self.folder, {"SPARK_CONNECT": "sc://spark:15002/;token=t"})
        self.assertEqual(server, GivenServer("sc://spark:15002/;token=t"))
        for disturb in [server.kill, server.pause, server.resume, server.restart]:
            with self.assertRaisesRegex(Failure, "spark:15002 is not ours"):
                disturb("connect")


class Messages(unittest.TestCase):
    def test_what_is_written_is_read(self):
        for length in [0, 1, 127, 128, 20_000]:
            value = b"x" * length
            self.assertEqual(list(fields(bytes_field(12, value) + bytes_field(300, b""))), [(12, value), (300, b"")])

    def test_numbers_of_every_kind_are_stepped_over(self):
        message = b"\x08\x96\x01" + b"\x11" + b"\0" * 8 + b"\x1d" + b"\1\0\0\0" + bytes_field(4, b"end")
        self.assertEqual(list(fields(message)), [(1, 150), (2, b"\0" * 8), (3, b"\1\0\0\0"), (4, b"end")])


class Versions(unittest.TestCase):
    def test_a_server_of_a_version_tells_it_and_knows_nothing_else(self):
        with OfVersion("3.5.6") as server, self.assertRaisesRegex(Failure, "UNIMPLEMENTED"):
            query(server.address, "SELECT 1", seconds=10)


class Files(unittest.TestCase):
    def test_files_of_several_folders_are_one_glob(self):
        files = [Path("/a/rows/m=1/x.parquet"), Path("/a/rows/m=2/y.parquet")]
        self.assertEqual(parquet_files(files), "parquet.`/a/rows/{m=1/x.parquet,m=2/y.parquet}`")


class Script(Temporary):
    def refusal(self, *arguments: str, code: int = 1) -> str:
        """What spark.sh says when it ends without starting anything."""
        environment = {**os.environ, "MILLSTREAM_CACHE": str(self.folder / "cache")}
        command = [SCRIPT, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=30)
        self.assertEqual((done.returncode, done.stdout), (code, ""))
        return done.stderr

    def test_how_to_use_it_is_shown(self):
        self.assertIn("spark.sh start  [--dir DIR]", self.refusal(code=2))
        self.assertIn("--cluster", self.refusal("start", "--what", code=2))

    def test_what_is_missing_is_named(self):
        self.assertIn("run `scripts/setup.sh spark`", self.refusal("start", "--dir", str(self.folder)))
        self.assertIn("holds no server", self.refusal("stop", "--dir", str(self.folder)))
        self.assertIn("is not there", self.refusal("status", "--dir", str(self.folder / "other")))

    def test_values_that_cannot_be_are_refused(self):
        at = ["--dir", str(self.folder)]
        self.assertIn("--port x: a number", self.refusal("start", *at, "--port", "x"))
        self.assertIn("--conf needs NAME=VALUE", self.refusal("start", *at, "--conf", "x"))
        self.assertIn("letters, digits", self.refusal("start", *at, "--token", "a b"))
        self.assertIn("--dir needs a value", self.refusal("start", "--dir"))

    def test_a_part_that_the_server_does_not_have_is_named(self):
        (self.folder / "server").write_text("port=19000\ncluster=no\naddress=sc://127.0.0.1:19000\n")
        self.assertIn("has connect", self.refusal("kill", "--dir", str(self.folder), "--part", "worker-1"))
        self.assertIn("connect does not run", self.refusal("kill", "--dir", str(self.folder)))


if __name__ == "__main__":
    unittest.main()
