"""One pulse to solve: which tissue is where, how it conducts, which metal is at which potential."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .conductivity import ConductivityLaw
from .electrodes import Electrode, Needle
from .grid import Grid

NEEDLE_SAMPLES = 201
"""Points along a needle's bare metal that tell which tissue it is in."""

Factors = tuple[float, float, float]


@dataclass(frozen=True)
class Sheet:
    """A thin resistive layer wherever two tissues meet.

    Attributes:
        holder, other: indices of the tissues' laws. The layer's resistance lies in the first voxels of the holder: its
            place is up to half a voxel off, its resistance is not.
        resistance_ohm_m2: of a unit of area.
    """

    holder: int
    other: int
    resistance_ohm_m2: float


@dataclass(frozen=True)
class FieldProblem:
    """div( sigma grad phi ) = 0 with phi given on the electrodes and no current through the grid's outer faces.

    Isotropic tissue has sigma(|E|). A tissue with factors k on its conductivity along the grid's axes has the current
    J_a = k_a sigma(sqrt q) E_a with the weighted mean square field q = sum_a k_a E_a^2. Only then is J the gradient of
    an energy, U(q) with U' = sigma / 2, and the Newton matrix symmetric: with sigma(|E|) the derivatives dJ_a/dE_b and
    dJ_b/dE_a differ. With k = 1 across the fibres, a law's fields hold for fields across them; along the fibres the
    conductivity rises at fields lower by sqrt(k).

    Attributes:
        grid: voxels and spacing.
        tissue: index into `laws` for each voxel, uint8, shape grid.shape. A voxel of a law of 0 S/m (air) is left out.
        laws: conductivity laws.
        electrodes: metal shapes in metres in the grid's frame.
        potentials_v: of each electrode, V; None for a conductor that floats (unknown potential, zero net current).
        warmth: optional factor 1 + alpha dT on the conductivity of each voxel, shape grid.shape.
        axis_factors: of each law, factors on its conductivity along the grid's axes; None where all tissue is
        isotropic.
        contact_ohm_m2: of each electrode, the resistance of a unit of its metal's surface; None where there is none.
        sheets: thin resistive layers between tissues.

    Raises:
        ValueError: shapes that do not match, a tissue index without a law, no driven electrodes at all.
    """

    grid: Grid
    tissue: NDArray[np.uint8]
    laws: tuple[ConductivityLaw, ...]
    electrodes: tuple[Electrode, ...]
    potentials_v: tuple[float | None, ...]
    warmth: NDArray[np.float32] | None = None
    axis_factors: tuple[Factors, ...] | None = None
    contact_ohm_m2: tuple[float, ...] | None = None
    sheets: tuple[Sheet, ...] = ()

    def __post_init__(self) -> None:
        if self.tissue.shape != self.grid.shape or self.tissue.dtype != np.uint8:
            got = f"{self.tissue.dtype} {self.tissue.shape}"
            raise ValueError(f"tissue: expected uint8 of shape {self.grid.shape}, got {got}")
        if not self.laws or int(self.tissue.max()) >= len(self.laws):
            raise ValueError(f"tissue: expected indices below {len(self.laws)}, got {int(self.tissue.max())}")
        if len(self.potentials_v) != len(self.electrodes):
            got = len(self.potentials_v)
            raise ValueError(f"potentials_v: expected one for each of {len(self.electrodes)} electrodes, got {got}")
        driven = [v for v in self.potentials_v if v is not None]
        if not driven or not all(math.isfinite(v) for v in driven):
            raise ValueError(
                f"potentials_v: expected at least one driven electrode at a finite potential, got {driven}"
            )
        if self.warmth is not None and self.warmth.shape != self.grid.shape:
            raise ValueError(f"warmth: expected shape {self.grid.shape}, got {self.warmth.shape}")
        self._check_directions()
        # a needle's near field depends on the tissue that it is in
        object.__setattr__(self, "electrodes", tuple(self._in_medium(e) for e in self.electrodes))

    def _in_medium(self, electrode: Electrode) -> Electrode:
        """A needle that knows the axis factors of the tissue that most of its bare metal is in."""
        factors = self.axis_factors
        if not isinstance(electrode, Needle):
            return electrode
        if factors is None:
            return electrode if electrode.medium is None else replace(electrode, medium=None)
        behind = np.linspace(*electrode.bare_m, NEEDLE_SAMPLES)
        points = np.asarray(electrode.tip_m) - behind[:, None] * np.asarray(electrode.direction)
        cell = np.floor(points / np.asarray(self.grid.spacing_m)).astype(int)
        cell = cell[np.all((cell >= 0) & (cell < np.asarray(self.grid.shape)), axis=1)]
        tissue = self.tissue[tuple(cell.T)]
        conducting = [i for i in tissue if not self.laws[i].insulating]
        most = factors[np.bincount(conducting).argmax()] if conducting else (1.0, 1.0, 1.0)
        return replace(electrode, medium=None if most[0] == most[1] == most[2] else most)

    def _check_directions(self) -> None:
        laws, factors, contacts = len(self.laws), self.axis_factors, self.contact_ohm_m2
        if factors is not None and (len(factors) != laws or not all(_positive(k) for three in factors for k in three)):
            raise ValueError(f"axis_factors: expected three positive factors for each of {laws} laws, got {factors}")
        if contacts is not None:
            sound = len(contacts) == len(self.electrodes) and all(r >= 0 and math.isfinite(r) for r in contacts)
            if not sound:
                expected = f"a resistance of at least 0 for each of {len(self.electrodes)} electrodes"
                raise ValueError(f"contact_ohm_m2: expected {expected}, got {contacts}")
        for sheet in self.sheets:
            known = 0 <= sheet.holder < laws and 0 <= sheet.other < laws and sheet.holder != sheet.other
            if not known or not _positive(sheet.resistance_ohm_m2):
                raise ValueError(f"sheets: expected two of {laws} laws and a positive resistance, got {sheet}")

    @property
    def plain(self) -> bool:
        """Isotropic, without contacts or sheets."""
        return self.axis_factors is None and not self.resistive

    @property
    def resistive(self) -> bool:
        """Whether there are contacts or sheets."""
        return bool(self.sheets) or any(self.contact_ohm_m2 or ())

    @property
    def conducts(self) -> NDArray[np.bool_]:
        """Voxels that are tissue, not air; shape grid.shape."""
        return ~np.asarray([law.insulating for law in self.laws])[self.tissue]


def _positive(x: float) -> bool:
    return x > 0 and math.isfinite(x)
