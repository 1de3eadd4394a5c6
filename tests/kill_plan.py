"""Which kill comes next."""

import random
import signal
from collections import Counter
from dataclasses import dataclass

SHARES = {"failpoint": 13, "moment": 5, "signal": 2}
"""How often each kind of kill is dealt when only the program can be killed."""

FRESH_TRIES = {False: 1, True: 5}
"""Fresh lives in which a fail-point is tried before it counts as unreachable; not in every one there is enough for upkeep to do."""


@dataclass
class Plan:
    """What happens to a process, or to what it depends on."""

    kind: str
    """`failpoint`, `moment` (SIGKILL), `signal`, or what a life with Kafka knows besides."""
    failpoint: str = ""
    hit: int = 1
    sent: signal.Signals = signal.SIGKILL
    twice: bool = False
    detail: str = ""
    """What was chosen as it happened."""

    def __str__(self) -> str:
        text = "SIGKILL" if self.kind == "moment" else self.kind
        if self.kind == "failpoint":
            text = f"{self.failpoint}:{self.hit}"
        elif self.kind == "signal":
            text = self.sent.name + (" twice" if self.twice else "")
        return f"{text} {self.detail}".rstrip()


class Schedule:
    """Deals out the kills like cards: as many of a kind as its share says, in random order, then all of them again.

    Fail-points come each in turn. One that was not reached is tried once more at its first hit in a fresh life, and then
    counts as unreachable.
    """

    def __init__(
        self,
        names: list[str],
        rng: random.Random,
        shares: dict[str, int] = SHARES,
        only: str | None = None,
        most_hits: int = 25,
        first: str | None = None,
    ):
        self.most_hits = most_hits
        """A process dies at this hit of a fail-point at the latest."""
        self.names = names
        self.rng = rng
        self.shares = shares
        self.only = only
        self.first = first
        """A kind that is dealt first, so that few rounds have it, too."""
        self.deck: list[str] = []
        self.queue: list[str] = []
        self.again: list[str] = []
        self.killed = dict.fromkeys(names, 0)
        self.kinds = dict.fromkeys(shares, 0)
        """How many kills of each kind came true."""
        self.unreached: set[str] = set()
        self.fresh_tries: Counter[str] = Counter()
        self.run_seconds = 2.5
        """How long an undisturbed process took lately: random moments lie within it."""

    def next(self, fresh: bool) -> Plan:
        """The next kill; `fresh`: for the first process of a life."""
        if self.only:
            return Plan("failpoint", self.only, self.rng.choice([1, 1, 2, 5]))
        if fresh and self.again:
            return Plan("failpoint", self.again.pop(0), 1)
        if not self.deck:
            self.deck = [kind for kind, share in self.shares.items() for _ in range(share)]
            self.rng.shuffle(self.deck)
            if self.first in self.deck:
                self.deck.remove(self.first)
                self.deck.append(self.first)
                self.first = None
        kind = self.deck.pop()
        if kind == "signal":
            chosen = self.rng.choice([signal.SIGTERM, signal.SIGINT])
            return Plan(kind, sent=chosen, twice=self.rng.random() < 0.3)
        if kind == "failpoint":
            return self._next_failpoint()
        return Plan(kind)

    def _next_failpoint(self) -> Plan:
        if not self.queue:
            self.queue = [name for name in self.names if name not in self.unreached]
            self.rng.shuffle(self.queue)
        if not self.queue:
            return Plan("moment")
        return Plan("failpoint", self.queue.pop(), self.rng.choice([1, 1, 2, 3, self.rng.randint(4, self.most_hits)]))

    def came_true(self, plan: Plan) -> None:
        self.kinds[plan.kind] = self.kinds.get(plan.kind, 0) + 1
        if plan.kind == "failpoint":
            self.killed[plan.failpoint] = self.killed.get(plan.failpoint, 0) + 1

    def missed(self, plan: Plan, fresh: bool) -> None:
        """The process was done before it could happen."""
        if plan.kind != "failpoint":
            self.deck.append(plan.kind)
        elif not self.killed.get(plan.failpoint):
            self.fresh_tries[plan.failpoint] += fresh and plan.hit == 1
            if self.fresh_tries[plan.failpoint] == FRESH_TRIES[plan.failpoint.startswith(("upkeep.", "vacuum."))]:
                self.unreached.add(plan.failpoint)
            elif plan.failpoint not in self.again:
                self.again.append(plan.failpoint)

    def summary(self) -> list[str]:
        """What was killed how often."""
        texts = [("by kind", self.kinds), ("by fail-point", self.killed)]
        counted = [(name, [f"{key} {count}" for key, count in counts.items() if count]) for name, counts in texts]
        return [f"kills {name}: {', '.join(counts)}" for name, counts in counted if counts]
