"""What is known about a cluster without asking a broker, and what kafka.sh refuses before it starts one."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from kafka import SCRIPT, Cluster, GivenCluster, cluster_for_tests, lag, parse_facts
from program import Failure

PLAIN = "nodes=3\nport=19000\nsecure=no\nadvertised_port=\nbootstrap=127.0.0.1:19000,127.0.0.1:19001,127.0.0.1:19002\n"
PROXIED = (
    "nodes=1\nport=19000\nsecure=no\nadvertised_port=20000\nbootstrap=127.0.0.1:19000\n"
    "advertised_bootstrap=127.0.0.1:20000\nbehind=127.0.0.1:19040\n"
)


class Temporary(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


class Facts(Temporary):
    def cluster(self, text: str, **options) -> Cluster:
        """A cluster as if it had been started with these facts."""
        cluster = Cluster(self.folder, **options)
        cluster._facts = parse_facts(text)
        return cluster

    def test_clients_begin_at_every_node(self):
        cluster = self.cluster(PLAIN, nodes=3)
        self.assertEqual(cluster.bootstrap, "127.0.0.1:19000,127.0.0.1:19001,127.0.0.1:19002")
        self.assertEqual(cluster.ports, [19000, 19001, 19002])
        self.assertEqual(list(cluster.nodes), [0, 1, 2])

    def test_with_a_proxy_clients_begin_there_and_the_proxy_is_told_where_to(self):
        cluster = self.cluster(PROXIED, advertised_port=20000)
        self.assertEqual(cluster.bootstrap, "127.0.0.1:20000")
        self.assertEqual(cluster.direct_bootstrap, "127.0.0.1:19000")
        self.assertEqual(cluster.ports, [19040])

    def test_a_value_may_hold_an_equals_sign(self):
        self.assertEqual(parse_facts("user=a=b\n\n"), {"user": "a=b"})

    def test_secrets_of_a_cluster_without_them_are_refused(self):
        with self.assertRaisesRegex(Failure, "secure=True"):
            self.cluster(PLAIN).login()

    def test_login_and_certificate_name_the_files_of_the_folder(self):
        cluster = self.cluster("user=ada\n", secure=True)
        (self.folder / "secure").mkdir()
        (self.folder / "secure" / "password").write_text("pw")
        login = cluster.login(mechanism="SCRAM-SHA-256")
        self.assertEqual((login["sasl.username"], login["sasl.password"], login["sasl.mechanism"]), ("ada", "pw", "SCRAM-SHA-256"))
        self.assertEqual(cluster.login("guest")["sasl.username"], "guest")
        self.assertEqual(cluster.client_certificate()["ssl.key.location"], str(self.folder / "secure" / "client.key"))

    def test_stopping_what_was_never_started_does_nothing(self):
        Cluster(self.folder).stop()


class WhichCluster(Temporary):
    def test_without_a_name_the_tests_have_one_of_their_own(self):
        cluster = cluster_for_tests(self.folder, nodes=3, environment={})
        self.assertIsInstance(cluster, Cluster)
        self.assertEqual(len(cluster.nodes), 3)

    def test_the_named_cluster_is_used(self):
        cluster = cluster_for_tests(self.folder, environment={"KAFKA_BOOTSTRAP": "kafka:9092"})
        self.assertEqual((cluster.bootstrap, cluster.direct_bootstrap), ("kafka:9092", "kafka:9092"))

    def test_the_named_cluster_is_never_killed(self):
        cluster = GivenCluster("kafka:9092")
        for disturb in [cluster.kill, cluster.pause, cluster.resume, cluster.restart]:
            with self.assertRaisesRegex(Failure, "kafka:9092 are not ours"):
                disturb(0)


class Lag(unittest.TestCase):
    def test_lag_is_the_way_from_the_committed_offset_to_the_end(self):
        committed = {("t", 1): 7, ("t", 0): 5}
        self.assertEqual(lag(committed, {("t", 0): 5, ("t", 1): 10}), {("t", 0): 0, ("t", 1): 3})

    def test_a_partition_without_a_committed_offset_has_none(self):
        self.assertEqual(lag({("t", 0): -1001}, {("t", 0): 5}), {})


class Script(Temporary):
    def refused(self, *arguments: str, jars: bool = True) -> str:
        """What kafka.sh says when it refuses; nothing must be on stdout, which belongs to the bootstrap servers."""
        if jars:
            (self.folder / "cache" / "kafka-4.4.0").mkdir(parents=True, exist_ok=True)
            (self.folder / "cache" / "kafka-4.4.0" / ".complete").touch()
        environment = {**os.environ, "MILLSTREAM_CACHE": str(self.folder / "cache")}
        done = subprocess.run([SCRIPT, *arguments], env=environment, cwd=self.folder, capture_output=True, text=True, timeout=30)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stdout, "")
        return done.stderr

    def test_without_jars_it_says_how_to_get_them(self):
        self.assertIn("run `scripts/setup.sh kafka`", self.refused("start", "--dir", "k", jars=False))

    def test_a_folder_that_is_in_use_for_something_else_is_left_alone(self):
        (self.folder / "mine").mkdir()
        (self.folder / "mine" / "letter.txt").write_text("dear all")
        self.assertIn("is not empty and holds no cluster", self.refused("start", "--dir", "mine"))
        self.assertEqual([path.name for path in (self.folder / "mine").iterdir()], ["letter.txt"])

    def test_a_cluster_is_not_made_into_another_one(self):
        (self.folder / "k").mkdir()
        (self.folder / "k" / "cluster").write_text(PLAIN)
        self.assertIn("holds a cluster with nodes=3, not 1", self.refused("start", "--dir", "k", "--nodes", "1"))
        self.assertIn("holds a cluster with secure=no, not yes", self.refused("start", "--dir", "k", "--secure"))

    def test_stop_wants_a_folder_with_a_cluster(self):
        self.assertIn("is not there", self.refused("stop", "--dir", "nowhere"))
        (self.folder / "empty").mkdir()
        self.assertIn("holds no cluster", self.refused("stop", "--dir", "empty"))

    def test_a_process_that_took_over_the_pid_is_not_killed(self):
        node = self.folder / "k" / "node-0"
        node.mkdir(parents=True)
        (self.folder / "k" / "cluster").write_text(PLAIN)
        with subprocess.Popen(["sleep", "60"]) as other:
            (node / "pid").write_text(f"{other.pid}\n")
            self.assertIn("node 0 does not run", self.refused("kill", "--dir", "k", "--node", "0"))
            self.assertIsNone(other.poll())
            other.kill()

    def test_options_that_make_no_sense_are_named(self):
        self.assertIn("--nodes 2: 1 or 3", self.refused("start", "--nodes", "2"))
        self.assertIn("--port x: a number", self.refused("start", "--port", "x"))
        self.assertIn("--dir needs a value", self.refused("start", "--dir"))
        self.assertIn("kafka.sh start", self.refused("begin"))
        self.assertIn("kafka.sh start", self.refused("start", "--loud"))


if __name__ == "__main__":
    unittest.main()
