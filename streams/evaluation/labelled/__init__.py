"""Labelled replays made of a corpus of real stills: events, stills, and the truth of each delivery (docs/evaluate.md).

Owns what leaks, what is a control, and how often. Refuses to judge. The same corpus and the same options give the
same bytes. Nothing is copied anywhere but to the folder that is named.

    plan(read(corpus), Options(seed=3)) -> deliveries in order; write(planned, folder) -> events, stills, truth
"""

from streams.evaluation.labelled.homes import FEWEST, Options
from streams.evaluation.labelled.plan import CONTROLS, LEAKS, Planned, plan
from streams.evaluation.labelled.write import write

__all__ = ["CONTROLS", "FEWEST", "LEAKS", "Options", "Planned", "plan", "write"]
