"""How fast a training goes: what is measured at each step, and how it is said."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
MEASURED_STEP = 2
LONG_S = 600


class Meter:
    """Means since the last reset: loss terms, images a second, the share of time spent waiting.

    steps: so many were added since. Only waiting for batches and working on them is timed, not
    validation and saving. The sums are no part of a training's state: a resumed one begins them
    anew.
    """

    def __init__(self, terms: Sequence[str]) -> None:
        self._terms = terms
        self.last_step_s = 0.0
        self.reset()

    def reset(self) -> None:
        self._sums = dict.fromkeys(self._terms, 0.0)
        self.steps = self._images = 0
        self._waited_s = self._worked_s = 0.0

    def waiting_for(self, batches: Iterable[T]) -> Iterator[T]:
        """The same batches; the time until each comes is time spent waiting."""
        batches = iter(batches)
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            self.last_step_s = time.perf_counter() - began
            self._waited_s += self.last_step_s
            if batch is None:
                return
            yield batch

    @contextmanager
    def working(self) -> Iterator[None]:
        """The block is work on a batch."""
        began = time.perf_counter()
        yield
        worked_s = time.perf_counter() - began
        self.last_step_s += worked_s
        self._worked_s += worked_s

    def add(self, terms: Mapping[str, float], images: int) -> None:
        """What came of one batch of so many images."""
        self.steps += 1
        self._images += images
        for name in self._terms:
            self._sums[name] += terms[name]

    def means(self) -> dict[str, float]:
        seconds = self._waited_s + self._worked_s
        terms = {name: value / self.steps for name, value in self._sums.items()}
        speed = {"images_per_s": self._images / seconds, "waiting": self._waited_s / seconds}
        return {**terms, **speed}


class Pace:
    """Says once, after the second step, how long `steps` of them take, and what helps if long.
    staged: steps of later stages take longer."""

    def __init__(self, steps: int, *, say: Callable[[str], None], staged: bool = False) -> None:
        self._steps = steps
        self._say = say
        self._staged = staged
        self._done = 0

    def after_step(self, step_s: float) -> None:
        """`step_s`: the seconds that the step took; the first one warms up and is not measured."""
        self._done += 1
        if self._done == MEASURED_STEP:
            self._say_duration(step_s)

    def _say_duration(self, step_s: float) -> None:
        total_s = step_s * self._steps
        self._say(
            f"  {step_s:.2g} s a step on this CPU: about {duration(total_s)} for {self._steps:,} "
            f"steps, validation not counted{', and more in later stages' * self._staged}"
        )
        if total_s > LONG_S:
            self._say("  faster: a smaller --width, --crop or --batch; fewer --steps; a GPU")


def duration(seconds: float) -> str:
    """In words: 3 h 5 min, 5 min, 40 s."""
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min" if seconds >= 100 else f"{seconds:.0f} s"
