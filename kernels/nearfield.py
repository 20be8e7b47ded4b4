"""The field close to a needle: a conductor of revolution alone in an unbounded uniform medium, by boundary elements.

u is harmonic outside, 1 on the exposed metal, has no normal derivative on the insulated shaft and vanishes far
away. It is
the potential of rings of charge on the surface (single layer): panels along the meridian with a constant density each,
found by collocation at the panels' middles,

    u(x) = sum_p q_p int_p K(m) / sqrt(w) r' ds',   w = (r + r')^2 + (z - z')^2,  1 - m = ((r - r')^2 + (z - z')^2) / w

with K the complete elliptic integral (Jackson, Classical Electrodynamics, 1998, ch. 3; densities are scaled freely).
Kernels use F = 1 - u, zero on the metal and rising outwards, from a table in the meridian plane: what is tabulated is
F / distance, which is smooth up to the barrel, and interpolated linearly between lines spaced in proportion to the
distance from the surface.
Lengths are divided by the radius: a table serves every needle of the same proportions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import ellipkm1

from .electrodes import Needle, along_and_across
from .profiles import Profile, Solid, TipShape
from .stretch import stretch

Floats = NDArray[np.float64]

TABLE_REACH = 60.0
"""Radii from the metal that the table covers; beyond it F goes on in proportion to the distance."""
GROWTH = 1.12
"""Ratio between neighbouring table lines' distances from the surface."""
NEAREST_LINE = 0.2
"""Radii between the surface and the first table line off it."""
CAP_LINES = 8


@dataclass(frozen=True)
class Proportions:
    """A needle in units of its radius. z = 0 is the foremost point, the needle lies at z < 0.

    Attributes:
        exposed: length of bare metal. shaft: length of insulation behind it (0: metal ends with a flat face).
        ahead: length of insulation in front of it. tip, cone: shape of the tip, length of a conical one.
    """

    exposed: float
    shaft: float
    ahead: float = 0.0
    tip: TipShape = "flat"
    cone: float = 0.0

    @property
    def profile(self) -> Profile:
        return Profile(1.0, self.tip, self.cone)

    @property
    def metal(self) -> Solid:
        return Solid(self.profile, self.ahead, self.ahead + self.exposed)

    @property
    def length(self) -> float:
        return self.ahead + self.exposed + self.shaft


def proportions_of(needle: Needle) -> Proportions:
    """A needle's shape, in radii; rounded, so that equal needles share a table."""
    # a shaft longer than twice the table's reach is as good as endless
    shaft = min(needle.shaft_m / needle.radius_m, 2 * TABLE_REACH)
    exposed, ahead, cone = (x / needle.radius_m for x in (needle.exposed_m, needle.ahead_m, needle.cone_m))
    return Proportions(round(exposed, 9), round(shaft, 9), round(ahead, 9), needle.tip, round(cone, 9))


def shape_function(needle: Needle, points: Floats) -> Floats:
    """F of a needle at points (..., 3) in metres; what lies beside it on its shaft is taken for insulation.

    Zero inside metal. Relative error about 1 %, and 1e-3 within a few radii of the barrel.
    """
    if needle.medium is None:
        along, across = along_and_across(points, np.asarray(needle.tip_m), np.asarray(needle.direction))
    else:
        needle, along, across = stretch(needle, points)
    return table_of(proportions_of(needle))(across / needle.radius_m, along / needle.radius_m)


class Table:
    """F over the meridian half plane, in radii. Lines across are counted from the surface: s = 1 is a needle's side."""

    def __init__(self, p: Proportions) -> None:
        self.p = p
        self.s_lines, self.z_lines = table_lines(p)
        s, z = np.meshgrid(self.s_lines, self.z_lines, indexing="ij")
        r = s - 1 + p.profile.radius_at(-z)
        d = p.metal.distance(r, z)
        body = Solid(p.profile, 0.0, p.length)
        outside = (body.distance(r, z) > 1e-9) & (r >= 0)
        ratio = np.zeros(r.shape)
        ratio[outside] = (1 - Rings(p).potential(r[outside], z[outside])) / d[outside]
        self.ratio = fill_surface(ratio, outside)

    def __call__(self, r: Floats, z: Floats) -> Floats:
        """F at points of the meridian plane, by bilinear interpolation of F / distance."""
        s, along = self.place(r, z)
        i, j = cell_of(self.s_lines, s), cell_of(self.z_lines, along)
        t = (s - self.s_lines[i]) / (self.s_lines[i + 1] - self.s_lines[i])
        u = (along - self.z_lines[j]) / (self.z_lines[j + 1] - self.z_lines[j])
        table, width = self.ratio.reshape(-1), len(self.z_lines)
        first = i * width + j
        low, high = table.take(first), table.take(first + width)
        low = low + u * (table.take(first + 1) - low)
        high = high + u * (table.take(first + width + 1) - high)
        return np.maximum(self.p.metal.distance(r, z), 0) * (low + t * (high - low))

    def place(self, r: Floats, z: Floats) -> tuple[Floats, Floats]:
        """Where points lie among the lines; what lies beyond, at the outermost."""
        s = np.clip(r + 1 - self.p.profile.radius_at(-z), 0, self.s_lines[-1])
        return s, np.clip(z, self.z_lines[0], self.z_lines[-1])


def cell_of(lines: Floats, x: Floats) -> NDArray[np.int64]:
    """Between which lines values lie, by the lower one's number."""
    return np.clip(np.searchsorted(lines, x, side="right") - 1, 0, len(lines) - 2)


@functools.lru_cache(maxsize=64)
def table_of(p: Proportions) -> Table:
    return Table(p)


def table_lines(p: Proportions) -> tuple[Floats, Floats]:
    """Lines that lie on the surface and thin out in proportion to the distance from it."""
    away = [0.0, NEAREST_LINE]
    while away[-1] < TABLE_REACH:
        away.append(away[-1] + max(NEAREST_LINE * 0.75, away[-1] * (GROWTH - 1)))
    outwards = np.asarray(away)
    s_lines = np.concatenate([np.linspace(0, 1, CAP_LINES, endpoint=False), 1 + outwards])
    breaks = sorted({0.0, p.profile.tip_length, p.ahead, p.ahead + p.exposed})
    pieces = [outwards, -breaks[-1] - outwards]
    for one, other in pairwise(breaks):
        half = 0.5 * (other - one)
        inwards = outwards[outwards < half]
        pieces += [-one - inwards, -other + inwards, np.asarray([-one - half])]
    if p.tip == "rounded":  # its radius rises steeply behind the foremost point
        pieces.append(np.cos(np.linspace(0, 0.5 * np.pi, 12)) - 1)
    return s_lines, np.unique(np.round(np.concatenate(pieces), 9)).astype(np.float64)


def fill_surface(ratio: Floats, known: NDArray[np.bool_]) -> Floats:
    """Continue F / distance onto the surface and a little under it by extrapolation from outside."""
    out, done = ratio.copy(), known.copy()
    # on the barrel: along r from the first two lines off the surface; elsewhere from whichever neighbour is known
    surface = CAP_LINES
    first, second = surface + 1, surface + 2
    line = ~done[surface] & done[first] & done[second]
    out[surface, line] = out[first, line] * 1.5 - out[second, line] * 0.5
    done[surface, line] = True
    for _ in range(max(out.shape)):
        if done.all():
            break
        total, count = np.zeros_like(out), np.zeros_like(out)
        for axis in (0, 1):
            for shift in (1, -1):
                value, there = np.roll(np.where(done, out, 0), shift, axis), np.roll(done, shift, axis)
                edge = 0 if shift == 1 else -1
                index = (edge, slice(None)) if axis == 0 else (slice(None), edge)
                value[index], there[index] = 0, False
                total += value
                count += there
        new = ~done & (count > 0)
        out[new] = total[new] / count[new]
        done |= new
    return out


class Rings:
    """Panels along the meridian with constant charge densities, and their potential."""

    def __init__(self, p: Proportions) -> None:
        start, end, insulated = panels(p)
        self.start, self.end = start, end
        middle = 0.5 * (start + end)
        normal = outward_normals(start, end)
        matrix = np.empty((len(start), len(start)))
        metal = ~insulated
        matrix[metal] = self.influence(middle[metal], graded=True)
        if insulated.any():
            # normal derivative just outside by a one-sided difference over a small part of the panel
            step = 0.05 * np.linalg.norm(end - start, axis=1)[insulated, None]
            near = self.influence(middle[insulated] + step * normal[insulated], graded=True)
            far = self.influence(middle[insulated] + 3 * step * normal[insulated], graded=True)
            matrix[insulated] = (far - near) / (2 * step)
        self.density = np.linalg.solve(matrix, metal.astype(float))
        self.sources, self.charges = self.point_rings()

    def influence(self, points: Floats, graded: bool) -> Floats:
        """Potential of a unit density on each panel at points (n, 2): (n, panels)."""
        node, weight = graded_quadrature() if graded else np.polynomial.legendre.leggauss(4)
        t = 0.5 * (node + 1)
        at = self.start[:, None, :] + t[:, None] * (self.end - self.start)[:, None, :]
        length = np.linalg.norm(self.end - self.start, axis=1)
        strength = 0.5 * weight * length[:, None] * at[..., 0]
        return np.sum(ring_kernel(points[:, None, None, :], at) * strength, axis=-1)

    def point_rings(self) -> tuple[Floats, Floats]:
        """Rings no further apart than a fifth of a radius: for points NEAREST_LINE and more off the surface."""
        sources, charges = [], []
        node, weight = np.polynomial.legendre.leggauss(4)
        for a, b, q in zip(self.start, self.end, self.density, strict=True):
            length = float(np.linalg.norm(b - a))
            parts = max(1, int(np.ceil(length / 0.6)))
            t = (np.arange(parts)[:, None] + 0.5 * (node + 1)).reshape(-1) / parts
            at = a + t[:, None] * (b - a)
            sources.append(at)
            charges.append(q * np.tile(0.5 * weight, parts) * length / parts * at[:, 0])
        return np.concatenate(sources), np.concatenate(charges)

    def potential(self, r: Floats, z: Floats) -> Floats:
        points = np.stack([r, z], axis=-1)
        out = np.empty(len(points))
        for i in range(0, len(points), 4096):
            out[i : i + 4096] = ring_kernel(points[i : i + 4096, None, :], self.sources) @ self.charges
        return out


def ring_kernel(point: Floats, ring: Floats) -> Floats:
    """Potential at meridian points of rings of unit charge per angle, up to a constant."""
    dz = (point[..., 1] - ring[..., 1]) ** 2
    wide = (point[..., 0] + ring[..., 0]) ** 2 + dz
    return ellipkm1(((point[..., 0] - ring[..., 0]) ** 2 + dz) / wide) / np.sqrt(wide)


def graded_quadrature(n: int = 12) -> tuple[Floats, Floats]:
    """Gauss points on -1..1 crowded round the middle (t^3 on both halves), where the kernel's logarithm sits."""
    x, w = np.polynomial.legendre.leggauss(n)
    t, v = 0.5 * (x + 1), 0.5 * w
    return np.concatenate([-(t**3), t**3]), np.concatenate([3 * t**2 * v] * 2)


def panels(p: Proportions) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Meridian panels from the tip's middle backwards: starts, ends (n, 2) and which are insulated; fine wherever the
    surface or the metal has an edge."""
    cap = 1 - graded_towards_end(1.0)[::-1]  # 0 .. 1, fine at the rim
    front, back, rear = p.ahead, p.ahead + p.exposed, p.length
    lines, insulated = [np.zeros((1, 2))], []
    if p.tip == "flat":
        lines.append(np.stack([cap[1:], np.zeros(len(cap) - 1)], axis=1))
        insulated.append(np.full(len(cap) - 1, front > 0))
    for one, other in pairwise(sorted({0.0, p.profile.tip_length, front, back, rear})):
        # the far end of a shaft needs no fine panels
        grade = graded_towards_end if one >= back else graded_towards_both
        lines.append(side_points(p.profile, one, other, grade)[1:])
        insulated.append(np.full(len(lines[-1]), not front <= one < back))
    lines.append(np.stack([cap[::-1][1:], np.full(len(cap) - 1, -rear)], axis=1))
    insulated.append(np.full(len(cap) - 1, p.shaft > 0))
    line = np.concatenate(lines)
    return line[:-1], line[1:], np.concatenate(insulated)


def side_points(profile: Profile, start: float, stop: float, grade: Callable[[float], Floats]) -> Floats:
    """Points (n, 2) on a needle's side between two distances behind its foremost point, all on one of its surfaces."""
    if profile.tip == "rounded" and stop <= profile.tip_length:
        low, high = np.arccos(1 - start), np.arccos(1 - stop)
        angle = low + grade(float(high - low))
        return np.stack([np.sin(angle), np.cos(angle) - 1], axis=1)
    (r1, r2) = (float(x) for x in profile.radius_at(np.asarray([start, stop])))
    length = float(np.hypot(r2 - r1, stop - start))
    t = grade(length)[:, None] / length
    return np.asarray([r1, -start]) + t * np.asarray([r2 - r1, start - stop])


def graded_towards_end(length: float) -> Floats:
    """0 .. length, panels growing from a fortieth of a radius at 0 by a third each, at most a radius and a half."""
    at, step = [0.0], 0.025
    while at[-1] < length:
        at.append(at[-1] + step)
        step = min(step * 1.33, max(0.2 * at[-1], step), 1.5 + 0.1 * at[-1])
    return np.asarray(at) * (length / at[-1])


def graded_towards_both(length: float) -> Floats:
    half = graded_towards_end(0.5 * length)
    return np.concatenate([half, (length - half[::-1])[1:]])


def outward_normals(start: Floats, end: Floats) -> Floats:
    """Normals (r, z) of meridian panels that run from the tip over the barrel to the back."""
    t = end - start
    n = np.stack([-t[:, 1], t[:, 0]], axis=1)
    return n / np.linalg.norm(n, axis=1, keepdims=True)
