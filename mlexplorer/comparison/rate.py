"""Shares of a few inputs, and how little a few inputs say."""

from __future__ import annotations

import math
from collections.abc import Iterable

from mlexplorer.errors import InputError

_Z = 1.959963984540054
"""The normal distribution's 97.5 % quantile."""


class Rate(float):
    """A share of inputs, `count` of `total`, from 0 to 1, with the confidence interval that such a number needs.

    A float in every other way. Raises InputError where there are no inputs, or fewer than are counted.
    """

    count: int
    total: int

    def __new__(cls, count: int, total: int) -> Rate:
        """The share of `count` in `total`."""
        if not 0 <= count <= total or not total:
            raise InputError(f"{count} of {total} inputs is no share")
        rate = super().__new__(cls, count / total)
        rate.count, rate.total = count, total
        return rate

    @classmethod
    def of(cls, hits: Iterable[bool]) -> Rate:
        """The share of those that are true."""
        all_hits = list(hits)
        return cls(sum(all_hits), len(all_hits))

    @property
    def interval(self) -> tuple[float, float]:
        """Where the share of all inputs of this kind lies with 95 % confidence: Wilson's score interval (1927).

        It supposes that the inputs were drawn independently of each other.
        """
        share, squared = float(self), _Z * _Z
        middle = (share + squared / (2 * self.total)) / (1 + squared / self.total)
        spread = math.sqrt(share * (1 - share) / self.total + squared / (4 * self.total**2))
        spread *= _Z / (1 + squared / self.total)
        low = 0.0 if self.count == 0 else middle - spread
        return low, 1.0 if self.count == self.total else middle + spread

    def __getnewargs__(self) -> tuple[int, int]:  # type: ignore[override]
        return self.count, self.total

    def __str__(self) -> str:
        low, high = (f"{100 * bound:.1f}" for bound in self.interval)
        return f"{100 * float(self):.1f} % ({self.count} of {self.total}; {low}..{high} %)"

    def __repr__(self) -> str:
        return f"Rate({self.count}, {self.total})"
