"""A matcher's share of the work: one of so many, and which partitions that is.

Owns the rule of it: of N matchers the K-th has the partitions p with p mod N = K - 1, and with them the cameras whose
stills lie there. Refuses to know who else runs (streams/store/lease.py does).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from models.errors import StrayframeError


class BadShare(StrayframeError):
    """A share is written K/N, such as 1/2, with K from 1 to N."""


@dataclass(frozen=True, slots=True)
class Share:
    """The `number`-th of so many. The first is the desk: it has the incidents, counts and switches of all."""

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Share:
        """From K/N. Raises BadShare."""
        number, _, of = text.partition("/")
        if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise BadShare(f"{text!r} is no share: K/N is, such as 1/2, with K from 1 to N")
        return cls(int(number), int(of))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def is_whole(self) -> bool:
        """Whether nobody else has a share."""
        return self.of == 1

    @property
    def is_desk(self) -> bool:
        """Whether incidents, counts and switches are its work."""
        return self.number == 1

    def has(self, partition: int) -> bool:
        """Whether the partition is this share's."""
        return partition % self.of == self.number - 1


WHOLE: Final = Share()
