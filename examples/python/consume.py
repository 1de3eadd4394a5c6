"""Prints the rows of a topic that Millstream writes, one JSON object a line, as they come.

    python consume.py HOST:PORT TOPIC                 from the first record on, until Ctrl-C
    python consume.py HOST:PORT TOPIC --until-end     to the end of what is there now
"""

import argparse
import json
import os
import sys

import pyarrow as pa
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition


def rows(value: bytes) -> list[dict]:
    """The rows of a record: with `format = "json"` one, with `format = "arrow"` those of an Arrow IPC stream."""
    if value.startswith(b"{"):
        return [json.loads(value)]
    with pa.ipc.open_stream(value) as stream:
        return stream.read_all().to_pylist()


def consume(brokers: str, topic: str, until_end: bool) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            # A name of your own: consumers with the same one share the partitions when they `subscribe`.
            "group.id": "example-consumer",
            # Rows of a transaction that was aborted are never seen: this makes every row come once.
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        found = consumer.list_topics(topic, timeout=10).topics[topic]
        if found.error:
            raise KafkaException(found.error)
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in found.partitions])
        not_at_end = set(found.partitions)
        while not_at_end or not until_end:
            message = consumer.poll(timeout=1)
            if message is None:
                continue
            if message.error():
                if message.error().code() == KafkaError._PARTITION_EOF:
                    not_at_end.discard(message.partition())
                elif not message.error().retriable():
                    raise KafkaException(message.error())
                continue
            for row in rows(message.value()):
                # Decimals and times as text.
                print(json.dumps(row, default=str), flush=True)
    finally:
        consumer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("brokers", metavar="HOST:PORT")
    parser.add_argument("topic")
    parser.add_argument("--until-end", action="store_true", help="end at the end of what is there")
    options = parser.parse_args()
    try:
        consume(options.brokers, options.topic, options.until_end)
    except KafkaException as error:
        sys.exit(f"consume.py: {error.args[0].str()}")
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # Whoever read the rows has seen enough; Python must not flush to it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
