"""Kills are dealt out fairly, and the same seed deals the same ones."""

import random
import unittest
from collections import Counter

from kill_plan import SHARES, Plan, Schedule

KINDS = {"failpoint": 1, "moment": 1, "broker": 1}
NAMES = ["append.before", "append.after"]


def dealt(schedule: Schedule, count: int) -> list[Plan]:
    plans = []
    for _ in range(count):
        plans.append(schedule.next(fresh=False))
        schedule.came_true(plans[-1])
    return plans


class DealtKills(unittest.TestCase):
    def test_each_kind_comes_as_often_as_its_share_says(self):
        plans = dealt(Schedule(NAMES, random.Random(1), SHARES), 3 * sum(SHARES.values()))
        self.assertEqual(Counter(plan.kind for plan in plans), {kind: 3 * share for kind, share in SHARES.items()})

    def test_as_few_kills_as_there_are_kinds_have_each_of_them(self):
        for seed in range(20):
            plans = dealt(Schedule(NAMES, random.Random(seed), KINDS), 3)
            self.assertEqual({plan.kind for plan in plans}, set(KINDS))

    def test_a_kind_that_must_come_first_does_and_has_no_larger_share(self):
        plans = dealt(Schedule(NAMES, random.Random(1), SHARES, first="signal"), sum(SHARES.values()))
        self.assertEqual(plans[0].kind, "signal")
        self.assertEqual(Counter(plan.kind for plan in plans), SHARES)

    def test_the_same_seed_deals_the_same_kills(self):
        first, second = [dealt(Schedule(NAMES, random.Random(7), KINDS), 30) for _ in range(2)]
        self.assertEqual(first, second)

    def test_each_failpoint_has_its_turn(self):
        plans = dealt(Schedule(NAMES, random.Random(3), {"failpoint": 1}), 6)
        self.assertEqual(Counter(plan.failpoint for plan in plans), dict.fromkeys(NAMES, 3))

    def test_a_kind_that_did_not_come_true_is_dealt_again_next(self):
        schedule = Schedule(NAMES, random.Random(5), {"moment": 1, "broker": 1})
        plan = schedule.next(fresh=False)
        schedule.missed(plan, fresh=False)
        self.assertEqual(schedule.next(fresh=False).kind, plan.kind)

    def test_a_failpoint_that_is_missed_twice_counts_as_unreached(self):
        schedule = Schedule(["append.before"], random.Random(2), {"failpoint": 1})
        schedule.missed(schedule.next(fresh=False), fresh=False)
        again = schedule.next(fresh=True)
        self.assertEqual((again.failpoint, again.hit), ("append.before", 1))
        self.assertEqual(schedule.unreached, set())
        schedule.missed(again, fresh=True)
        self.assertEqual(schedule.unreached, {"append.before"})
        self.assertEqual(schedule.next(fresh=False).kind, "moment")


if __name__ == "__main__":
    unittest.main()
