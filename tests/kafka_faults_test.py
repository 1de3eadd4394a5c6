"""What can be wrong with Kafka: each fault is told in words that name the thing and the way out, and nothing is lost or twice.

Brokers that are away at the start, or longer than a transaction may last; a wrong address, a wrong password, a missing
right; a topic that was deleted and made anew, has other partitions, takes smaller records, or has lost records.
"""

import shutil
import signal
import tempfile
import time
import unittest
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from kafka import REQUEST_SECONDS, Cluster, admin, create_topic, delete_topic, read_topic, topics
from kafka_pipeline import SMALL, Pipeline
from kafka_proxy import Proxy
from program import Run, get_json, registered, wait_until

SECONDS = 60
TIMEOUT_SECONDS = 6
"""Of transactions, as `kafka_pipeline` sets it."""
PACE = '"4000 rows/s"'


def apart(name: str) -> dict[str, str]:
    """Settings of a process with state and archive of its own."""
    return {"pipeline__data_dir": f'"./{name}"', "archive__path": f'"./archive-{name}"'}


class Behind(unittest.TestCase):
    """One broker behind a wire that can be broken; the same for all tests of this file but those of logins."""

    proxy: Proxy
    cluster: Cluster | None = None

    @classmethod
    def setUpClass(cls):
        if Behind.cluster is None:
            folder = Path(tempfile.mkdtemp(prefix="millstream-faults-"))
            unittest.addModuleCleanup(shutil.rmtree, folder)
            Behind.proxy = unittest.enterModuleContext(Proxy())
            Behind.cluster = unittest.enterModuleContext(Cluster(folder / "kafka", advertised_port=cls.proxy.port))
            cls.proxy.target = cls.cluster.ports[0]

    def setUp(self):
        self.addCleanup(self.proxy.heal)

    def pipeline(self, *files: str, **settings: str) -> Pipeline:
        named = {key.replace("__", "."): value for key, value in settings.items()}
        more = {"files": files} if files else {}
        return Pipeline(self, self.cluster.bootstrap, settings=named, **more)

    def check(self, pipeline: Pipeline, whole: bool = True) -> None:
        pipeline.check(self.cluster.direct_bootstrap, whole)

    def url(self, pipeline: Pipeline, run: Run) -> str:
        """Where the program answers, ready or not."""
        return wait_until(lambda: registered(pipeline.folder, run), SECONDS, f"`run.json` written:\n{pipeline.told(run)}")

    def until_rows_flow(self, pipeline: Pipeline, run: Run) -> str:
        """The program's address, once it has appended some rows and before it has appended all."""
        url = self.url(pipeline, run)

        def flows() -> bool:
            return get_json(url, "/api/status")["source"]["rows_read"] > 500

        wait_until(flows, SECONDS, f"rows flow:\n{pipeline.told(run)}")
        return url

    def until_told(self, pipeline: Pipeline, run: Run, url: str) -> dict:
        """The trouble that status tells, which names the broker and since when; a message says it, too."""

        def told() -> dict | None:
            status = get_json(url, "/api/status")
            texts = [message["text"] for message in status["messages"]]
            trouble = status["stream"]["trouble"]
            named = any(self.cluster.bootstrap in text and "since" in text for text in texts)
            return trouble if trouble and named else None

        return wait_until(told, SECONDS, f"status tells the trouble:\n{pipeline.told(run)}")

    def until_well(self, pipeline: Pipeline, run: Run, url: str) -> None:
        def well() -> bool:
            return run.process.poll() is not None or get_json(url, "/api/status")["stream"]["trouble"] is None

        wait_until(well, SECONDS, f"status tells that the trouble is over:\n{pipeline.told(run)}")

    def refused(self, pipeline: Pipeline, run: Run, *words: str) -> None:
        """It ends by itself with a message in which all of `words` are."""
        code = pipeline.ended(run)
        said = pipeline.told(run)
        self.assertIn(code, (1, 2), said)
        for word in words:
            self.assertIn(word, said.rsplit("\nerror: ", 1)[-1], said)

    def broken(self, damage: Callable[[], None], repair: Callable[[], None]) -> None:
        """Rows flow, then nothing answers for longer than a transaction may last, then all is well again."""
        pipeline = self.pipeline(source__pace=PACE)
        run = pipeline.run()
        url = self.until_rows_flow(pipeline, run)
        damage()
        broken_at = time.monotonic()
        trouble = self.until_told(pipeline, run, url)
        before = get_json(url, "/api/status")
        time.sleep(max(0.0, broken_at + TIMEOUT_SECONDS + 2 - time.monotonic()))
        self.assertIsNone(run.process.poll(), pipeline.told(run))
        after = get_json(url, "/api/status")
        self.assertEqual(after["stream"]["trouble"]["since"], trouble["since"], "the trouble began once")
        self.assertEqual(after["source"]["rows_read"], before["source"]["rows_read"], "rows with an outcome in the log")
        self.assertLess(after["memory_bytes"], after["memory_limit_bytes"] * 2)
        repair()
        self.until_well(pipeline, run, url)
        pipeline.ends_well(run)
        self.check(pipeline)


class BrokersThatAreAway(Behind):
    def test_a_broker_that_is_away_at_the_start_is_waited_for(self):
        pipeline = self.pipeline(*SMALL)
        self.proxy.away()
        run = pipeline.run()
        wait_until(
            lambda: self.cluster.bootstrap in run.log.read_text() and "does not answer" in run.log.read_text(),
            SECONDS,
            f"it says that the broker does not answer:\n{pipeline.told(run)}",
        )
        self.proxy.heal()
        pipeline.ends_well(run)
        self.check(pipeline)

    def test_a_broker_may_be_killed_for_longer_than_a_transaction_may_last(self):
        self.broken(self.cluster.kill, self.cluster.restart)


class LongFaults(Behind):
    """More of the same, for `make torture`."""

    def test_a_stop_is_obeyed_while_the_broker_is_away(self):
        pipeline = self.pipeline(pipeline__drain_deadline='"2s"', source__pace=PACE)
        run = pipeline.run()
        url = self.until_rows_flow(pipeline, run)
        self.proxy.away()
        self.until_told(pipeline, run, url)
        run.process.send_signal(signal.SIGTERM)
        self.assertIn(pipeline.ended(run), (0, 130), pipeline.told(run))
        self.proxy.heal()
        pipeline.ends_well(pipeline.run())
        self.check(pipeline)

    def test_a_broker_may_sleep_for_longer_than_a_transaction_may_last(self):
        self.broken(self.cluster.pause, self.cluster.resume)

    def test_a_wire_may_swallow_everything_for_longer_than_a_transaction_may_last(self):
        self.broken(self.proxy.swallow, self.proxy.heal)

    def test_a_slow_wire_that_is_cut_again_and_again_loses_nothing(self):
        pipeline = self.pipeline(source__pace=PACE)
        run = pipeline.run()
        self.until_rows_flow(pipeline, run)
        self.proxy.delay_seconds = 0.05
        for _ in range(8):
            self.proxy.cut()
            run.wait(0.4)
        self.proxy.heal()
        pipeline.ends_well(run)
        self.check(pipeline)

    def test_topics_that_are_deleted_under_a_running_program_stop_it(self):
        pipeline = self.pipeline(source__pace=PACE)
        run = pipeline.run()
        self.until_rows_flow(pipeline, run)
        delete_topic(self.cluster.bootstrap, pipeline.topic)
        self.refused(pipeline, run, pipeline.topic, "is gone", "stream.topic")


class TopicsThatAreNotAsTheyMustBe(Behind):
    def test_an_address_where_nobody_is(self):
        pipeline = self.pipeline(*SMALL)
        run = pipeline.run(pipeline.write("astray", stream__kafka__brokers='"127.0.0.1:1"'))
        wait_until(
            lambda: "127.0.0.1:1" in run.log.read_text() and "does not answer" in run.log.read_text(),
            SECONDS,
            f"it says that nobody answers:\n{pipeline.told(run)}",
        )
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGTERM)
        pipeline.ended(run)
        pipeline.ends_well(pipeline.run())
        self.check(pipeline)

    def test_a_topic_with_other_partitions(self):
        pipeline = self.pipeline(*SMALL, stream__partitions="2")
        create_topic(self.cluster.bootstrap, pipeline.topic, partitions=3)
        self.refused(pipeline, pipeline.run(), pipeline.topic, "3", "2", "partitions")
        pipeline.write(stream__partitions="3")
        shutil.rmtree(pipeline.archive.parent, ignore_errors=True)
        pipeline.ends_well(pipeline.run())
        self.check(pipeline)

    def test_a_topic_that_takes_too_small_records(self):
        pipeline = self.pipeline(*SMALL)
        create_topic(self.cluster.bootstrap, pipeline.topic, partitions=2, config={"max.message.bytes": "20000"})
        self.refused(pipeline, pipeline.run(), pipeline.topic, "max.message.bytes", "20000")
        delete_topic(self.cluster.bootstrap, pipeline.topic)
        pipeline.ends_well(pipeline.run())
        self.check(pipeline)

    def test_a_topic_that_was_deleted_and_made_anew_is_not_taken_for_the_old_one(self):
        pipeline = self.pipeline(*SMALL)
        pipeline.ends_well(pipeline.run())
        self.check(pipeline)
        there = topics(self.cluster.bootstrap)
        for name in [pipeline.topic, f"{pipeline.topic}.rejects"]:
            delete_topic(self.cluster.bootstrap, name)
            create_topic(self.cluster.bootstrap, name, partitions=there[name])
        pipeline.add(["2020-11"])
        self.refused(pipeline, pipeline.run(), pipeline.topic)
        # Nothing was archived on false grounds.
        pipeline.files.pop()
        pipeline.__dict__.pop("outcomes", None)
        self.check(pipeline, whole=False)

    def test_a_topic_that_is_made_anew_under_a_running_program_stops_it(self):
        pipeline = self.pipeline(*SMALL, source__watch="true")
        run = pipeline.start("run", "pipeline.toml")
        self.until_rows_flow(pipeline, run)
        self.made_anew(pipeline.topic)
        self.refused(pipeline, run, pipeline.topic, "deleted", "stream.topic")

    def made_anew(self, topic: str) -> None:
        partitions = topics(self.cluster.bootstrap)[topic]
        delete_topic(self.cluster.bootstrap, topic)
        create_topic(self.cluster.bootstrap, topic, partitions=partitions)

    def test_a_process_with_another_archive_is_refused_before_it_disturbs_the_one_that_publishes(self):
        pipeline = self.pipeline(*SMALL, source__watch="true")
        first = pipeline.start("run", "pipeline.toml")
        url = self.url(pipeline, first)
        self.until_archived(pipeline, first, url)
        instances = self.instances(pipeline)
        # One that holds nothing, and one of another stream.
        strange = pipeline.write("strange", **apart("strange"), source__watch="false", stream__topic=f'"{pipeline.topic}-2"')
        pipeline.ends_well(pipeline.start("run", strange, "--until-done", name="strange"))
        for name, archive, words in [
            ("empty", "./nowhere", ("archive.path", "elsewhere")),
            ("other", "./archive-strange", ("belongs to stream", "archive.path")),
        ]:
            settings = apart(name) | {"archive__path": f'"{archive}"'}
            second = pipeline.start("run", pipeline.write(name, **settings), name=name)
            self.refused(pipeline, second, *words)
        self.assertEqual(self.instances(pipeline), instances)
        pipeline.add(["2020-11"])
        self.until_archived(pipeline, first, url)
        first.process.send_signal(signal.SIGTERM)
        self.assertEqual(pipeline.ended(first), 0, pipeline.told(first))
        self.assertNotIn("was lost", first.log.read_text())
        self.check(pipeline)

    def test_a_second_archive_whose_rows_have_left_the_topic_is_refused_before_it_disturbs_the_one_that_publishes(self):
        pipeline = self.pipeline(*SMALL, source__watch="true", stream__retention='"0s"')
        first = pipeline.start("run", "pipeline.toml")
        url = self.url(pipeline, first)
        self.until_archived(pipeline, first, url)

        def trimmed() -> bool:
            return any(part["begin_offset"] > 0 for part in get_json(url, "/api/status")["stream"]["partitions"])

        wait_until(trimmed, SECONDS, f"archived records leave the topic:\n{pipeline.told(first)}")
        instances = self.instances(pipeline)
        settings = apart("second") | {"stream__kafka__group": f'"{pipeline.topic}-2"'}
        self.refused(pipeline, pipeline.start("run", pipeline.write("second", **settings), name="second"), "expired")
        self.assertEqual(self.instances(pipeline), instances)
        self.assertIsNone(first.process.poll(), pipeline.told(first))
        first.process.send_signal(signal.SIGTERM)
        self.assertEqual(pipeline.ended(first), 0, pipeline.told(first))
        self.assertNotIn("was lost", first.log.read_text())

    def until_archived(self, pipeline: Pipeline, run: Run, url: str) -> None:
        """Every row of the source has its place in the archive."""
        outcomes = pipeline.outcomes

        def archived() -> bool:
            total = get_json(url, "/api/ledger")["total"]
            return total["in_flight"] == 0 and total["delivered"] == len(outcomes.delivered)

        wait_until(archived, SECONDS, f"all is archived:\n{pipeline.told(run)}")

    def instances(self, pipeline: Pipeline) -> list[bytes | None]:
        """The processes that took the publisher's place, in order."""
        records = read_topic(self.cluster.direct_bootstrap, f"{pipeline.topic}.progress")
        return [record.value for record in records if record.key == b"instance"]

    def test_a_topic_with_records_of_another_program_is_refused_and_they_stay(self):
        pipeline = self.pipeline(*SMALL, stream__partitions="1")
        create_topic(self.cluster.bootstrap, pipeline.topic, partitions=1)
        producer = Producer({"bootstrap.servers": self.cluster.bootstrap})
        producer.produce(pipeline.topic, b'{"invoice": 1}')
        self.assertEqual(producer.flush(REQUEST_SECONDS), 0)
        self.refused(pipeline, pipeline.run(), pipeline.topic, "did not write", "foreign")
        with closing(Consumer({"bootstrap.servers": self.cluster.bootstrap, "group.id": "none"})) as consumer:
            marks = consumer.get_watermark_offsets(TopicPartition(pipeline.topic, 0), timeout=REQUEST_SECONDS)
        self.assertEqual(marks, (0, 1))

    def test_records_that_expired_before_they_were_read_are_told_and_never_skipped_in_silence(self):
        pipeline = self.pipeline(*SMALL)
        publisher = pipeline.write("publisher", pipeline__data_dir='"./publisher"')
        pipeline.ends_well(pipeline.start("publish", publisher, "--publisher", "0/1", "--until-done", name="publisher"))
        at = TopicPartition(pipeline.topic, 0, 3)
        client = admin(self.cluster.bootstrap)
        client.delete_records([at], request_timeout=REQUEST_SECONDS)[at].result(REQUEST_SECONDS)
        self.refused(pipeline, pipeline.run(), "partition 0", "expired", "verify")


class Secured(unittest.TestCase):
    """A broker with TLS, logins and rights."""

    @classmethod
    def setUpClass(cls):
        folder = Path(tempfile.mkdtemp(prefix="millstream-secured-"))
        cls.addClassCleanup(shutil.rmtree, folder)
        cls.cluster = cls.enterClassContext(Cluster(folder / "kafka", secure=True))

    def settings(self, mechanism: str = "PLAIN", username: str = "", password: str = "${KAFKA_PASSWORD}") -> dict[str, str]:
        values = {
            "tls.ca": self.cluster.ca,
            "sasl.mechanism": mechanism,
            "sasl.username": username or self.cluster.username,
            "sasl.password": password,
        }
        return {f"stream.kafka.{key}": f'"{value}"' for key, value in values.items()}

    def pipeline(self, bootstrap: str, settings: dict[str, str]) -> Pipeline:
        client = self.cluster.login()
        return Pipeline(self, bootstrap, files=SMALL, settings=settings, client=client)

    def run_with_password(self, pipeline: Pipeline, password: str = "") -> Run:
        variables = {"KAFKA_PASSWORD": password or self.cluster.password}
        return pipeline.start("run", "pipeline.toml", "--until-done", "--json", environment=variables)

    def works(self, pipeline: Pipeline) -> None:
        pipeline.ends_well(self.run_with_password(pipeline))
        pipeline.check(self.cluster.secure_bootstrap)
        printed = [line for line in pipeline.runs[-1].log.read_text().splitlines() if not line.startswith("--- ")]
        self.assertNotIn(self.cluster.password, "\n".join(printed))

    def test_tls_with_each_mechanism_of_login(self):
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]:
            with self.subTest(mechanism):
                self.works(self.pipeline(self.cluster.secure_bootstrap, self.settings(mechanism)))

    def test_a_client_certificate_whose_key_has_a_password(self):
        tls = {
            "ca": self.cluster.ca,
            "certificate": self.cluster.certificate,
            "key": self.cluster.encrypted_key,
            "key_password": "${KAFKA_PASSWORD}",
        }
        settings = {f"stream.kafka.tls.{key}": f'"{value}"' for key, value in tls.items()}
        self.works(self.pipeline(self.cluster.mtls_bootstrap, settings))

    def refused(self, pipeline: Pipeline, run: Run, *words: str) -> None:
        code = pipeline.ended(run)
        said = pipeline.told(run)
        self.assertIn(code, (1, 2), said)
        for word in words:
            self.assertIn(word, said, said)

    def test_a_wrong_password_is_refused_and_not_printed(self):
        pipeline = self.pipeline(self.cluster.secure_bootstrap, self.settings())
        run = self.run_with_password(pipeline, "not-this-one")
        self.refused(pipeline, run, self.cluster.secure_bootstrap, "refuses the login", "stream.kafka.sasl")
        # The test itself notes the environment in the first line.
        self.assertNotIn("not-this-one", run.log.read_text().split("\n", 1)[1])
        self.works(pipeline)

    def test_a_user_without_rights_is_told_which_one_is_missing(self):
        pipeline = self.pipeline(self.cluster.secure_bootstrap, self.settings(username="guest"))
        self.refused(pipeline, self.run_with_password(pipeline), "not permit")

    def test_each_right_that_is_missing_is_named_with_its_resource_and_the_user(self):
        # The last column: also with rows that flow, for what is missing keeps nothing from working.
        for missing, words, code in [
            ("topic create", ["user `guest`", "make the topic", "Create on the topic"], 2),
            ("topic read", ["user `guest`", "read the topic", "Read on the topic"], 2),
            ("topic write", ["user `guest`", "Write on the topic"], 2),
            ("transactional id", ["user `guest`", "Write on the transactional id", "millstream-"], 2),
            ("group read", ["user `guest`", "Read on the group"], 2),
            ("topic delete", ["user `guest`", "Delete on the topic"], 0),
            ("topic describe configs", ["user `guest`", "DescribeConfigs"], 0),
        ]:
            with self.subTest(missing):
                settings = self.settings(username="guest") | {"stream.retention": '"0s"'}
                pipeline = self.pipeline(self.cluster.secure_bootstrap, settings)
                self.permit(pipeline.topic, without=missing)
                variables = {"KAFKA_PASSWORD": self.cluster.password}
                run = pipeline.start("run", pipeline.write(source__watch="true"), environment=variables)
                if code == 0:
                    wait_until(lambda: words[-1] in run.log.read_text(), SECONDS, f"{words[-1]}:\n{pipeline.told(run)}")
                    run.process.send_signal(signal.SIGTERM)
                self.assertEqual(pipeline.ended(run), code, pipeline.told(run))
                for word in words:
                    self.assertIn(word, run.log.read_text(), pipeline.told(run))

    def test_a_receiver_that_must_not_join_the_group_is_told_so(self):
        pipeline = self.pipeline(self.cluster.secure_bootstrap, self.settings(username="guest"))
        self.permit(pipeline.topic, without="group read")
        variables = {"KAFKA_PASSWORD": self.cluster.password}
        run = pipeline.start("receive", "pipeline.toml", environment=variables)
        self.assertEqual(pipeline.ended(run), 2, pipeline.told(run))
        for word in ["user `guest`", "Read on the group", pipeline.topic]:
            self.assertIn(word, pipeline.told(run))

    def permit(self, topic: str, without: str) -> None:
        """Gives the guest all that deploy/README.md lists, but for one thing."""
        operations = AclOperation
        wanted = {
            "topic create": (ResourceType.TOPIC, topic, operations.CREATE),
            "topic describe configs": (ResourceType.TOPIC, topic, operations.DESCRIBE_CONFIGS),
            "topic read": (ResourceType.TOPIC, topic, operations.READ),
            "topic write": (ResourceType.TOPIC, topic, operations.WRITE),
            "topic delete": (ResourceType.TOPIC, topic, operations.DELETE),
            "group read": (ResourceType.GROUP, topic, operations.READ),
            "transactional id": (ResourceType.TRANSACTIONAL_ID, "millstream-", operations.WRITE),
        }
        client = admin(self.cluster.secure_bootstrap, self.cluster.login())
        # Those on transactional ids hold for all topics: what an earlier test permitted must go.
        old = AclBindingFilter(
            ResourceType.ANY, None, ResourcePatternType.ANY, "User:guest", None, AclOperation.ANY, AclPermissionType.ANY
        )
        for deleted in client.delete_acls([old], request_timeout=REQUEST_SECONDS).values():
            deleted.result(REQUEST_SECONDS)
        bindings = [
            AclBinding(kind, name, ResourcePatternType.PREFIXED, "User:guest", "*", operation, AclPermissionType.ALLOW)
            for what, (kind, name, operation) in wanted.items()
            if what != without
        ]
        for made in client.create_acls(bindings, request_timeout=REQUEST_SECONDS).values():
            made.result(REQUEST_SECONDS)

        def hold() -> bool:
            # Those of an earlier test are as many.
            known = client.describe_acls(old, request_timeout=REQUEST_SECONDS).result(REQUEST_SECONDS)
            return {(acl.name, acl.operation) for acl in known} == {(acl.name, acl.operation) for acl in bindings}

        wait_until(hold, SECONDS, "the broker knows the rights")

    def test_a_wrong_password_of_the_key_is_told(self):
        tls = {
            "ca": self.cluster.ca,
            "certificate": self.cluster.certificate,
            "key": self.cluster.encrypted_key,
            "key_password": "${KAFKA_PASSWORD}",
        }
        settings = {f"stream.kafka.tls.{key}": f'"{value}"' for key, value in tls.items()}
        pipeline = self.pipeline(self.cluster.mtls_bootstrap, settings)
        run = self.run_with_password(pipeline, "not-this-one")
        self.refused(pipeline, run, "stream.kafka.tls.key_password", "client-encrypted.key")
        self.assertNotIn("not-this-one", run.log.read_text().split("\n", 1)[1])
        del settings["stream.kafka.tls.key_password"]
        pipeline = self.pipeline(self.cluster.mtls_bootstrap, settings)
        self.refused(pipeline, self.run_with_password(pipeline), "stream.kafka.tls.key_password")

    def test_a_broker_whose_certificate_nobody_vouches_for_is_refused(self):
        settings = self.settings()
        del settings["stream.kafka.tls.ca"]
        pipeline = self.pipeline(self.cluster.secure_bootstrap, settings | {"stream.kafka.tls.verify_hostname": "true"})
        run = self.run_with_password(pipeline)
        wait_until(
            lambda: "certificate" in run.log.read_text().split("\n", 1)[1],
            SECONDS,
            f"it says what is wrong with the certificate:\n{pipeline.told(run)}",
        )


def load_tests(loader: unittest.TestLoader, tests: unittest.TestSuite, pattern: str) -> unittest.TestSuite:
    """The classes with tests of their own, and not the one that they share."""
    classes = [BrokersThatAreAway, LongFaults, TopicsThatAreNotAsTheyMustBe, Secured]
    return unittest.TestSuite(loader.loadTestsFromTestCase(found) for found in classes)


if __name__ == "__main__":
    unittest.main()
