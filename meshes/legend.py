"""What the names of targets and avoided structures mean on an anatomy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .errors import PlanError, one_of
from .labels import Entry
from .plan import Plan
from .sources import Source


@dataclass(frozen=True)
class Legend:
    """The source's entries followed by those of the added shapes; a code is an index into `entries`.

    Attributes:
        entries: structure and tissue of each code.
        added: code of each added shape, in the plan's order; shapes of one name and tissue share theirs.
        first_added: codes below it come from the source.
    """

    entries: tuple[Entry, ...]
    added: tuple[int, ...]
    first_added: int

    def codes(self, name: str) -> frozenset[int]:
        """Codes that a name means: a structure's, and where there is no such structure, a tissue's."""
        by_structure = [code for code, entry in enumerate(self.entries) if entry.structure == name]
        return frozenset(by_structure or [code for code, entry in enumerate(self.entries) if entry.tissue == name])


def legend_of(plan: Plan, source: Source) -> Legend:
    """All codes of a plan on its source."""
    entries = list(source.legend)
    first, added = len(entries), []
    for shape in plan.anatomy.add:
        entry = Entry(shape.structure, shape.tissue)
        if entry not in entries[first:]:
            entries.append(entry)
        added.append(entries.index(entry, first))
    return Legend(tuple(entries), tuple(added), first)


def check_names(plan: Plan, source: Source, legend: Legend, tissues: Mapping[str, object]) -> None:
    """Whether every target and avoided structure is a name that the anatomy or the tissue library knows.

    Raises:
        PlanError: a name that means nothing, with the nearest ones.
    """
    here = {name for entry in legend.entries for name in (entry.structure, entry.tissue) if name}
    elsewhere = {*tissues, *source.names}
    stated = [(f"targets[{i}]", name) for i, name in enumerate(plan.targets)]
    stated += [(f"avoid.{name}", name) for name in plan.avoid]
    for field, name in stated:
        if name not in here and name not in elsewhere:
            expected = f"a structure or tissue of the anatomy, {one_of(here, name, elsewhere)}"
            raise PlanError.of(field, expected, name)
