"""From the numbers of a label map to structures and tissues."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from .errors import AnatomyError, PlanError, one_of
from .library import data_table
from .model import problems_of, shown
from .plan import read_table
from .plan_anatomy import LabelMap


class Entry(NamedTuple):
    """What a code of the anatomy stands for; structure is None for what has no name (background, air)."""

    structure: str | None
    tissue: str


def label_names(
    names: dict[int, str] | str, table_path: Path | None, own: Mapping[int, str] | None = None
) -> dict[int, str]:
    """Number -> structure name.

    Args:
        names: 'totalsegmentator', 'segments', a table, or the path of one.
        table_path: that path, resolved.
        own: what the map's file states itself.

    Raises:
        AnatomyError: an unreadable table.
        PlanError: a table that is not number: name.
    """
    if isinstance(names, dict):
        return names
    if names == "totalsegmentator":
        return {number: entry["name"] for number, entry in _totalsegmentator().items()}
    field = "anatomy.label_map.names"
    if names == "segments":
        if not own:
            raise AnatomyError.of(field, "a DICOM-SEG or .seg.nrrd file, which names its segments", "a file without")
        return dict(own)
    assert table_path is not None
    try:
        table = read_table(table_path.read_text(encoding="utf-8"), field)
    except (OSError, UnicodeDecodeError) as error:
        expected = "'totalsegmentator', 'segments', a table number: name, or a readable JSON or YAML file with one"
        raise AnatomyError.of(field, expected, f"{table_path}: {error}") from None
    try:
        checked = LabelMap.model_validate({"path": "-", "background": "-", "names": table})
    except ValidationError as error:
        raise PlanError(
            problem._replace(field=f"anatomy.label_map.{problem.field}")
            for problem in problems_of(error, {"names": table})
        ) from None
    if isinstance(checked.names, str):
        raise PlanError.of(field, f"a table number: name in {table_path.name}", shown(table))
    return checked.names


def label_tissues(
    present: Collection[int], names: Mapping[int, str], overrides: Mapping[str, str], tissues: Collection[str]
) -> dict[int, Entry]:
    """Structure and tissue of every number that occurs in a map.

    Args:
        present: numbers in the map, 0 (no label) left out unless the table names it.
        names: number -> structure.
        overrides: structure -> tissue, from the plan.
        tissues: names of all tissues there are.

    Raises:
        PlanError: a number without a name, a structure without a tissue, an override of nothing.
    """
    for structure in overrides:
        if structure not in names.values():
            field = f"anatomy.label_map.tissue_of.{structure}"
            raise PlanError.of(field, f"a structure of the map, {one_of(names.values(), structure)}", structure)
    for structure, tissue in overrides.items():
        if tissue not in tissues:
            field = f"anatomy.label_map.tissue_of.{structure}"
            raise PlanError.of(field, f"a tissue, {one_of(tissues, tissue)}", tissue)
    nameless = sorted(number for number in present if number not in names)
    if nameless:
        got = ", ".join(map(str, nameless[:10]))
        raise PlanError.of("anatomy.label_map.names", "a name for every number in the map", f"no name for {got}")
    built_in = {entry["name"]: entry["tissue"] for entry in _totalsegmentator().values()}
    entries: dict[int, Entry] = {}
    for number in sorted(present):
        structure = names[number]
        tissue = overrides.get(structure) or built_in.get(structure) or (structure if structure in tissues else None)
        if tissue is None:
            expected = f"a tissue for the structure {structure} (label {number}), {one_of(tissues, structure)}"
            raise PlanError.of("anatomy.label_map.tissue_of", expected, "none")
        entries[number] = Entry(structure, tissue)
    return entries


def _totalsegmentator() -> dict[int, dict[str, str]]:
    return data_table("totalsegmentator.yaml")["structures"]
