"""Costs of things measured in turn in one run, and where the time of one of them goes."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock, and of this process on its processors."""

    wall: float
    cpu: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu)

    def __mul__(self, factor: float) -> Cost:
        return Cost(self.wall * factor, self.cpu * factor)


NOTHING = Cost(0.0, 0.0)


def cost_of(work: Callable[[], Any]) -> Cost:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def alternate(contestants: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, list[Cost]]:
    """Everyone's cost in each of the rounds, taken in turn, after one round that does not count."""
    names = list(contestants)
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name in names if number % 2 else reversed(names):
            cost = contestants[name]()
            if number:
                costs[name].append(cost)
    return costs


def seconds(costs: list[Cost], clock: str = "wall") -> float:
    """The median."""
    return statistics.median(getattr(cost, clock) for cost in costs)


def ratio(costs: list[Cost], to: list[Cost], clock: str = "wall") -> float:
    """The median over the rounds of what one cost against the other in the same round."""
    pairs = zip(costs, to, strict=True)
    return statistics.median(getattr(a, clock) / getattr(b, clock) for a, b in pairs)


# --- where the time goes ---------------------------------------------------------------------


@dataclass
class Ledger:
    """The cost of each row, each moment counted once: in the innermost of them."""

    costs: dict[str, Cost] = field(default_factory=dict)
    _inside: list[Cost] = field(default_factory=list)

    def booked(self, function: Callable, row: str) -> Callable:
        """The function, whose cost is booked to the row, less what is booked inside of it."""
        self.costs.setdefault(row, NOTHING)

        def wrapper(*args, **named):
            results = []
            self._inside.append(NOTHING)
            whole = cost_of(lambda: results.append(function(*args, **named)))
            self.costs[row] += whole + self._inside.pop() * -1
            if self._inside:
                self._inside[-1] += whole
            return results[0]

        return wrapper


@contextmanager
def booking(rows: Mapping[tuple[Any, str], str]) -> Iterator[Ledger]:
    """Books {(module or class, name of a function): row} wherever blursynth or cv2 call it.

    Not for generator functions: their work is done where they are consumed.
    """
    ledger, undo = Ledger(), []
    for (owner, name), row in rows.items():
        original = getattr(owner, name)
        booked = ledger.booked(original, row)
        for place in _places_of(owner, original):
            undo += [(place, key, original) for key in _names_of(original, place)]
            for key in _names_of(original, place):
                setattr(place, key, booked)
    try:
        yield ledger
    finally:
        for place, key, original in undo:
            setattr(place, key, original)


def _places_of(owner: Any, original: Callable) -> list[Any]:
    """Where a function is known by some name: its class, or every module that imported it."""
    loaded = [m for name, m in sys.modules.items() if name.partition(".")[0] in ("blursynth", "cv2")]
    return [place for place in (owner, *loaded) if _names_of(original, place)]


def _names_of(original: Callable, place: Any) -> list[str]:
    return [key for key, value in vars(place).items() if value is original]
