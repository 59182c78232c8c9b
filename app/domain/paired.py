"""Comparing two systems on the same tasks: exact and without libraries. Pure.

McNemar's exact test counts only the tasks on which the two differ: by chance alone, each of them is
a fair coin flip. The bootstrap resamples tasks, so everything about a task stays together.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

ALPHA = 0.05
_DRAWS = 10_000


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """The two-sided p-value of McNemar's exact test.

    The arguments count the tasks that only the first and only the second system solved.
    """
    discordant = only_first + only_second
    fewer = min(only_first, only_second)
    tail = sum(math.comb(discordant, each) for each in range(fewer + 1))
    return float(min(1.0, 2 * tail / 2**discordant))


def bootstrap_interval(
    differences: Sequence[float], *, draws: int = _DRAWS, seed: int = 1
) -> tuple[float, float]:
    """The 95 % percentile interval of the mean difference, one value per task.

    The same seed gives the same interval. Raises ValueError without a task.
    """
    if not differences:
        raise ValueError("there is no task to compare")
    luck = random.Random(seed)  # noqa: S311 - statistics, not secrets
    size = len(differences)
    means = sorted(sum(luck.choices(differences, k=size)) / size for _ in range(draws))
    at = int(draws * ALPHA / 2)
    return means[at], means[draws - 1 - at]


def smallest_visible(tasks: int, discordant: int) -> float | None:
    """The smallest difference of two solve rates that the test could have distinguished from
    chance, with that many tasks of which that many differ; at least six must differ.

    None if even all tasks would be too few.
    """
    for number in range(discordant, tasks + 1):
        for fewer in range(number // 2, -1, -1):
            if mcnemar_exact(number - fewer, fewer) < ALPHA:
                return (number - 2 * fewer) / tasks
    return None
