"""The points of a sweep: their values, their plans, their keys, and the order in which to compute them."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...meshes.errors import PlanError
from ...meshes.plan import Plan, load_plan
from .constraints import Condition
from .distributions import draw
from .fields import apply_fields, expand, keeps_field, keeps_geometry
from .model import Dim
from .spec import Sweep

POINT = "point"
"""The dimension of a design."""
LONGEST_CHAIN = 64


@dataclass(frozen=True)
class Column:
    """The values of one field along one of the sweep's dimensions."""

    field: str
    dim: int
    values: NDArray[np.float64]


class Points:
    """All points of a sweep; index i runs over the dimensions in C order, the last one fastest.

    Nothing is kept per point: a point's plan is made when it is asked for.
    """

    def __init__(self, sweep: Sweep, base: Plan) -> None:
        """Check that every field can be set; see `Points.of` for the usual way here."""
        self.sweep, self.base = sweep, base
        self._last: tuple[int, Plan] | None = None
        self._table: dict[str, Any] = base.model_dump(mode="json", exclude_unset=True)
        self._columns = [
            Column(field, d, np.asarray(values, float))
            for d, axis in enumerate(sweep.axes)
            for field, values in axis.columns().items()
        ]
        if sweep.design is not None:
            self._columns += self._design_columns()
        self.dims = self._dims()
        self.shape = tuple(dim.size for dim in self.dims)
        self.n = prod(self.shape)
        fields = [column.field for column in self._columns]
        for field in fields:
            if fields.count(field) > 1:
                raise PlanError.of("axes", "each field once", field)
        names = [axis.name for axis in sweep.axes if axis.field is not None]
        self._conditions = [
            (Condition(c.require, names + _simple(fields), f"constraints[{i}].require"), c.reason)
            for i, c in enumerate(sweep.constraints)
        ]
        self._try_fields()

    @staticmethod
    def of(sweep: Sweep, base_dir: Path | None = None) -> Points:
        """The points of a sweep, its base plan read.

        Raises:
            PlanError: a plan that can't be read, a field that isn't there, a constraint that can't be understood.
        """
        if isinstance(sweep.plan, str):
            folder = base_dir or sweep.folder or Path()
            return Points(sweep, load_plan(folder / sweep.plan))
        return Points(sweep, load_plan(sweep.plan))

    def values(self, i: int) -> dict[str, float]:
        """Field -> value at a point."""
        at = np.unravel_index(i, self.shape)
        return {c.field: float(c.values[at[c.dim]]) for c in self._columns}

    def plan(self, i: int) -> Plan:
        """The point's plan.

        Raises:
            PlanError: the values make no valid plan.
        """
        if self._last is None or self._last[0] != i:
            table = copy.deepcopy(self._table)
            apply_fields(table, self.values(i))
            plan = load_plan(table)
            plan._folder = self.base.folder
            self._last = (i, plan)
        return self._last[1]

    def skipped(self, i: int) -> str | None:
        """Why a point is left out: a constraint it does not meet, or a plan that would not be valid."""
        names = self._named(i)
        for condition, reason in self._conditions:
            if not condition.holds(names):
                return f"{condition.text} does not hold{f': {reason}' if reason else ''}"
        try:
            self.plan(i)
        except PlanError as error:
            return str(error)
        return None

    def key(self, i: int, inputs: str = "") -> str:
        """SHA-256 of the point's complete input: its plan, and `inputs` for all else."""
        text = self.plan(i).model_dump_json()
        return hashlib.sha256(f"{inputs}\n{text}".encode()).hexdigest()

    def chains(self, workers: int) -> list[list[int]]:
        """All points, in chains of neighbours: fields that leave the geometry alone run innermost and upwards, and no
        chain holds two geometries unless every point has its own.

        Args:
            workers: how many there will be; chains are short enough to keep four times as many busy.
        """
        order = np.lexsort([self._ranks(c) for c in self._sorted_columns()][::-1])
        groups = self._geometry_of(order)
        bounds = np.flatnonzero(np.diff(groups)) + 1
        wanted = max(1, min(LONGEST_CHAIN, self.n // (4 * max(workers, 1)) or 1))
        if len(bounds) + 1 > self.n // 2:  # every point has a place of its own: chains are for handing out only
            return [part.tolist() for part in np.array_split(order, max(1, -(-self.n // wanted)))]
        chains = np.split(order, bounds)
        return [part.tolist() for chain in chains for part in np.array_split(chain, -(-len(chain) // LONGEST_CHAIN))]

    # -- inside --------------------------------------------------------------------------------------------------------

    def _sorted_columns(self) -> list[Column]:
        """Geometry outermost, thresholds innermost."""
        return sorted(self._columns, key=lambda c: keeps_geometry(c.field) + keeps_field(c.field))

    def _ranks(self, column: Column) -> NDArray[np.float64]:
        """The column's value at every point, in point order."""
        shape = [1] * len(self.shape)
        shape[column.dim] = -1
        return np.broadcast_to(column.values.reshape(shape), self.shape).reshape(-1)

    def _geometry_of(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """A number for each ordered point that changes where the geometry does."""
        changes = np.zeros(len(order), bool)
        for column in self._columns:
            if not keeps_geometry(column.field):
                values = self._ranks(column)[order]
                changes[1:] |= values[1:] != values[:-1]
        return np.cumsum(changes)

    def _design_columns(self) -> list[Column]:
        design, dim = self.sweep.design, len(self.sweep.axes)
        assert design is not None
        if design.table is not None:
            return [Column(field, dim, np.asarray(values, float)) for field, values in design.table.items()]
        fields = {
            path: distribution
            for field, distribution in (design.fields or {}).items()
            for path in expand(self._table, field)
        }
        assert design.method != "table"
        unit = draw(design.method, design.size, len(fields), design.seed)
        return [Column(path, dim, d.quantile(unit[:, k])) for k, (path, d) in enumerate(fields.items())]

    def _dims(self) -> tuple[Dim, ...]:
        dims: list[Dim] = []
        for d, axis in enumerate(self.sweep.axes):
            own = [c for c in self._columns if c.dim == d]
            if axis.field is not None:
                coords = {axis.name: (own[0].values.tolist(), {"field": axis.field})}
            else:
                coords = {axis.name: (list(range(axis.size)), {"long_name": "number of the joint values"})}
                coords |= {c.field: (c.values.tolist(), {"field": c.field}) for c in own}
            dims.append(Dim(axis.name, axis.size, coords))
        if self.sweep.design is not None:
            own = [c for c in self._columns if c.dim == len(self.sweep.axes)]
            coords = {POINT: (list(range(self.sweep.design.size)), {"long_name": "number of the point"})}
            coords |= {c.field: (c.values.tolist(), {"field": c.field}) for c in own}
            dims.append(Dim(POINT, self.sweep.design.size, coords))
        return tuple(dims)

    def _named(self, i: int) -> dict[str, float]:
        values = self.values(i)
        axes = {axis.name: values[axis.field] for axis in self.sweep.axes if axis.field is not None}
        return {**values, **axes}

    def _try_fields(self) -> None:
        """Set every field once, so that a wrong path is told now and not at each point."""
        table = copy.deepcopy(self._table)
        apply_fields(table, {c.field: float(c.values[0]) for c in self._columns})
        try:
            load_plan(table)
        except PlanError as error:  # values may be out of bounds at a point, which is then skipped; names may not
            unknown = [problem for problem in error.problems if "unknown key" in problem.got]
            if unknown:
                raise PlanError(unknown) from None

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """All fields that vary."""
        return tuple(column.field for column in self._columns)


def _simple(fields: list[str]) -> list[str]:
    """Fields whose path is a plain name, which constraints can use."""
    return [field for field in fields if field.isidentifier()]
