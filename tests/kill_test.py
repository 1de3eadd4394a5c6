"""Kills the program again and again and compares what is archived in the end with what must be there.

A life: a fresh folder with some of the taxi example's files and random settings; the program is started, killed (at a
named fail-point, at a random moment, or told to stop by a signal), started again, a few times over; then it is let end.
The independent reader reads the archive, and every row of the files must be where the second computation says: once in
the archive or once in rejects, with these values, duplicates and filtered rows nowhere.

With `--log kafka` the brokers are killed too, the program sleeps past its time-outs, and the topics are read in the end;
`--apart` runs publishers and receivers as processes of their own, `--wire` breaks the wire between program and broker.

With `--engine spark` a real Spark cleans, and its server is killed and paused, too. With `--store s3` source and archive are
in a bucket, and calls to it fail.

A round is one kill. `--seed` repeats the choices of a run; moments in time stay as random as they are.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import kafka_apart
import kafka_life
import kill_spark
from kafka import Cluster, GivenCluster, cluster_for_tests
from kafka_apart import ApartLife
from kafka_life import KafkaLife, Place
from kafka_proxy import Proxy
from kill_life import Life
from kill_plan import SHARES, Schedule
from kill_s3 import S3Life
from kill_spark import KafkaSparkLife, SparkLife
from program import Failure, binary, failpoints, tail
from reader import Inconsistent
from s3 import Store, use
from spark import GivenServer, Server, server_for_tests

ONLY_ELSEWHERE = {"embedded": "kafka.", "kafka": "embedded.", "datafusion": "spark."}
"""What the names of fail-points begin with that only the other log or engine has."""


@dataclass
class Setting:
    """What lives of one run have in common."""

    make: Callable[..., Life] = Life
    shares: dict[str, int] = field(default_factory=lambda: dict(SHARES))
    most_hits: int = 25
    run_seconds: float = Life.run_seconds
    """How long a process takes undisturbed, more or less, as long as none was seen."""
    first: str | None = None
    """The kind of kill that comes first."""


def live(number: int, seed: int, schedule: Schedule, rounds: int, base: Path, make: Callable[..., Life]) -> tuple[int, str]:
    """One life with at most `rounds` kills; returns the kills and a line about it, raises `Failure`."""
    rng = random.Random(f"{seed}/{number}")
    life = make(number, rng, base / f"life-{number}", run_seconds=schedule.run_seconds)
    kills = []
    try:
        chosen = life.prepare()
        print(f"life {number}: {chosen}", flush=True)
        for turn in range(min(rounds, rng.randint(2, 6))):
            plan = schedule.next(fresh=turn == 0)
            true = life.kill(plan)
            if true:
                schedule.came_true(plan)
                kills.append(str(plan))
            else:
                schedule.missed(plan, fresh=turn == 0)
                if life.complete():
                    break
        schedule.run_seconds = life.run_seconds
        compared = life.end()
    except (Failure, Inconsistent) as failure:
        logs = "".join(f"\n  last lines of {path.name}:\n{tail(path)}" for path in life.logs())
        raise Failure(
            f"{failure}\n  life {number} of seed {seed}, after kills [{', '.join(kills)}]\n  kept: {life.folder}{logs}"
        ) from failure
    finally:
        life.release()
    shutil.rmtree(life.folder)
    return len(kills), f"  killed {len(kills)} times [{', '.join(kills)}]: {compared}"


@contextmanager
def setting(options: argparse.Namespace, base: Path) -> Iterator[Setting]:
    """What the command line asks for; a cluster is started, and stopped in the end."""
    if options.engine == "spark":
        with server_for_tests(base / "spark") as server, _with_spark(options, base, server) as chosen:
            yield chosen
    elif options.store == "s3":
        with Store(base / "s3") as store:
            use(store)
            yield Setting(partial(S3Life, store=store), run_seconds=S3Life.run_seconds)
    elif options.log == "embedded":
        yield Setting()
    elif options.wire:
        with Proxy() as proxy, Cluster(base / "kafka", options.brokers, advertised_port=proxy.port) as cluster:
            proxy.target = cluster.ports[0]
            yield _on(Place(cluster, options.brokers, proxy), KafkaLife, kafka_life.WIRE_SHARES)
    else:
        life, shares = (ApartLife, kafka_apart.SHARES) if options.apart else (KafkaLife, kafka_life.SHARES)
        with cluster_for_tests(base / "kafka", options.brokers) as cluster:
            yield _on(Place(cluster, options.brokers), life, shares)


@contextmanager
def _with_spark(options: argparse.Namespace, base: Path, server: Server | GivenServer) -> Iterator[Setting]:
    """Lives that this Spark cleans for; one that is not ours is left alive."""
    given = isinstance(server, GivenServer)
    shares = {kind: share for kind, share in kill_spark.SHARES.items() if kind not in kill_spark.OF_THE_SERVER or not given}
    seconds = kill_spark.RUN_SECONDS
    if options.log == "embedded":
        yield Setting(partial(SparkLife, spark=server), shares, run_seconds=seconds, first="spark")
        return
    with cluster_for_tests(base / "kafka") as cluster:
        over_kafka = _on(Place(cluster), KafkaSparkLife, kafka_life.SHARES)
        make, shares = partial(over_kafka.make, spark=server), over_kafka.shares | shares
        yield Setting(make, shares, over_kafka.most_hits, seconds, first="spark")


def _on(place: Place, life: type[KafkaLife], shares: dict[str, int]) -> Setting:
    """Lives at a place; brokers that are not ours are left alive."""
    given = isinstance(place.cluster, GivenCluster)
    shares = {kind: share for kind, share in shares.items() if kind != "broker" or not given}
    # A process over Kafka is dear, so fewer of them may end before their fail-point.
    return Setting(lambda *arguments, **more: life(*arguments, place=place, **more), shares, most_hits=6)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=36, help="kills in all (default 36)")
    parser.add_argument("--seed", type=int, help="repeats the choices of an earlier run")
    parser.add_argument("--log", choices=["embedded", "kafka"], default="embedded", help="where rows are between the stages")
    parser.add_argument("--engine", choices=["datafusion", "spark"], default="datafusion", help="who cleans")
    parser.add_argument("--store", choices=["disk", "s3"], default="disk", help="where source and archive are")
    parser.add_argument("--brokers", type=int, choices=[1, 3], default=1, help="with Kafka: how many, one killed at a time")
    parser.add_argument("--apart", action="store_true", help="with Kafka: publishers and receivers as processes of their own")
    parser.add_argument("--wire", action="store_true", help="with Kafka, one broker: break the wire to it")
    parser.add_argument("--kind", action="append", help="this kind of kill only (again for more)")
    parser.add_argument("--failpoint", help="kill at this fail-point only")
    parser.add_argument("--seconds", type=float, help="begin no new life after this time")
    parser.add_argument("--dir", type=Path, help="where the work folder is made (default: the temporary folder)")
    options = parser.parse_args()
    if options.log == "embedded" and (options.apart or options.wire or options.brokers > 1):
        parser.error("--apart, --wire and --brokers go with --log kafka")
    if options.wire and (options.apart or options.brokers > 1):
        parser.error("--wire goes with one broker and all stages in one process")
    if options.engine == "spark" and (options.apart or options.wire or options.brokers > 1):
        parser.error("--engine spark goes with one broker and all stages in one process")
    if options.store == "s3" and (options.engine == "spark" or options.log == "kafka"):
        parser.error("--store s3 goes with DataFusion and the embedded log")
    return options


def main() -> int:
    options = parse()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    where = {"embedded": "", "kafka": f", Kafka with {options.brokers} broker(s)"}[options.log]
    where += ", cleaned by Spark" if options.engine == "spark" else ""
    where += ", files in a bucket" if options.store == "s3" else ""
    how = ", stages apart" if options.apart else ", broken wire" if options.wire else ""
    print(f"kill test of {binary()}{where}{how}: {options.rounds} rounds, --seed {seed}", flush=True)
    base = Path(tempfile.mkdtemp(prefix="millstream-kill-", dir=options.dir))
    began, failed, done, number = time.monotonic(), [], 0, 0
    schedule = Schedule([], random.Random(seed))
    try:
        with setting(options, base) as chosen:
            shares = dict.fromkeys(options.kind, 1) if options.kind else chosen.shares
            elsewhere = tuple(ONLY_ELSEWHERE[which] for which in (options.log, options.engine) if which in ONLY_ELSEWHERE)
            # Those of a redrive are met in `redrive_test.py`.
            elsewhere += ("redrive.",)
            names = [name for name in failpoints() if not name.startswith(elsewhere)]
            if not options.apart:
                names = [name for name in names if name != kafka_apart.MOVING]
            schedule = Schedule(names, random.Random(seed), shares, options.failpoint, chosen.most_hits, chosen.first)
            schedule.run_seconds = chosen.run_seconds
            # Lives without a single kill must not make it endless.
            while done < options.rounds and number < options.rounds * 2:
                if options.seconds is not None and time.monotonic() - began > options.seconds:
                    print(f"time is up after {done} of {options.rounds} rounds", flush=True)
                    break
                number += 1
                kills, line = live(number, seed, schedule, options.rounds - done, base, chosen.make)
                done += kills
                print(line, flush=True)
    except Failure as failure:
        failed.append(str(failure))
    if not failed:
        shutil.rmtree(base)
        # Of stages apart, the one that is told to die somewhere need not come there: another one does its work.
        if schedule.unreached and not options.apart:
            failed.append(f"fail-points that were never reached: {', '.join(sorted(schedule.unreached))}")
    for line in schedule.summary():
        print(line)
    for text in failed:
        print(f"FAILED: {text}")
    print(f"kill test: {done} rounds in {number} lives, {time.monotonic() - began:.0f} s, --seed {seed}")
    print(f"{done} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
