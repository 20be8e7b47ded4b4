"""Reference currents by body-fitted finite elements, written to tests/kernels/fem_extra.json. Run by hand:

    pip install ngsolve          # in an environment of its own
    python benchmarks/references/finite_elements.py [CASE ...]

Curved tetrahedra of order 2 and 3 on two meshes each, finest where metal ends. Newton's method with a line search; the
current is the dissipated power over the voltage. The uncertainty is the difference between the last two rows.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import ngsolve as ng  # pyright: ignore[reportMissingImports]
from cases import Case, cases
from netgen import occ  # pyright: ignore[reportMissingImports]

OUT = Path(__file__).parents[2] / "tests" / "kernels" / "fem_extra.json"
LEVELS = ((2, 1.0), (3, 1.0), (3, 0.62))
"""Order of the elements, and a factor on the mesh sizes."""
SURFACE_RADII, FAR_MM = 0.6, 4.0
"""Element sizes on metal and away from it; at its ends a case has its own."""
STEP_LENGTHS = 12


def body_of(needle: dict[str, Any], start: float, stop: float) -> Any:
    """The solid between two distances behind the tip."""
    radius, length = 0.5 * needle["diameter_mm"], needle["tip_length_mm"]
    tip, axis = occ.gp_Pnt(*needle["tip_mm"]), occ.gp_Vec(*needle["direction"])

    def at(behind: float) -> Any:
        return tip - behind * axis

    back = occ.gp_Dir(*(-v for v in needle["direction"]))
    barrel_from = max(start, length if needle["tip"] != "flat" else 0.0)
    barrel = occ.Cylinder(at(barrel_from), back, r=radius, h=stop - barrel_from)
    if start > 0 or needle["tip"] == "flat":
        return barrel
    if needle["tip"] == "conical":
        frame = occ.gp_Ax2(at(length), occ.gp_Dir(*needle["direction"]))
        return barrel + occ.Cone(frame, radius, 0.0, length, 2 * math.pi)
    return barrel + occ.Sphere(at(radius), radius)


def shape_of(case: Case, factor: float) -> Any:
    """The meshed part of the tissue; faces are named middle, 0.0, 0.1 (needle.band), the others insulate."""
    low, high = (occ.gp_Pnt(*(side[i] for side in case["keep_mm"])) for i in (0, 1))
    tissue = occ.Box(low, high)
    if case["middle"] is not None:
        tissue.faces.Min(-occ.X if case["middle"]["axis"] == 0 else -occ.Y).name = "middle"
    if "ball_mm" in case:
        tissue = tissue * occ.Sphere(occ.gp_Pnt(*case["ball_mm"]["centre_mm"]), case["ball_mm"]["radius_mm"])
    metal = []
    for i, needle in enumerate(case["needles"]):
        cuts = sorted({0.0, needle["length_mm"], *(b[end] for b in needle["bands"] for end in ("from_mm", "to_mm"))})
        for start, stop in zip(cuts, cuts[1:], strict=False):  # noqa: RUF007
            piece = body_of(needle, start, stop)
            band = [j for j, b in enumerate(needle["bands"]) if b["from_mm"] == start]
            piece.faces.name = f"metal{i}.{band[0]}" if band else "shaft"
            piece.faces.maxh = factor * SURFACE_RADII * 0.5 * needle["diameter_mm"]
            piece.edges.maxh = factor * case["edge_mm"]
            metal.append(piece)
    for piece in metal:
        tissue = tissue - piece
    return tissue


def mesh_of(case: Case, factor: float, order: int) -> Any:
    """Curved mesh of a case."""
    shape = shape_of(case, factor)
    sizes = occ.OCCGeometry(shape)
    mesh = ng.Mesh(sizes.GenerateMesh(maxh=FAR_MM * factor, grading=0.35, quad_dominated=False))
    mesh.Curve(order)
    return mesh


def solve(case: Case, order: int, factor: float) -> dict[str, float]:
    """Current (A) and how it was found."""
    started = time.perf_counter()
    mesh = mesh_of(case, factor, order)
    metals = [name for name in mesh.GetBoundaries() if name.startswith("metal")]
    space = ng.H1(mesh, order=order, dirichlet="|".join([*dict.fromkeys(metals), "middle"]))
    values = {"middle": 0.5 * case["voltage_v"]}
    for i, needle in enumerate(case["needles"]):
        for j, band in enumerate(needle["bands"]):
            values[f"metal{i}.{j}"] = band["share_of_voltage"] * case["voltage_v"]
    u, v = space.TnT()
    gradient = 1e3 * ng.grad(u)  # lengths of the mesh are millimetres, fields V/m
    strength = ng.sqrt(ng.InnerProduct(gradient, gradient) + 1e-6)
    law = case["law"]
    rise = (law["s1"] - law["s0"]) / (1 + ng.exp(-(strength - law["ec_v_per_m"]) / law["w_v_per_m"]))
    form = ng.BilinearForm(space, symmetric=True)
    form += ((law["s0"] + rise) * 1e-3 * ng.grad(u) * ng.grad(v)).Compile() * ng.dx(bonus_intorder=2)
    form += 0 * u * v * ng.dx
    phi = ng.GridFunction(space)
    phi.Set(mesh.BoundaryCF(values), definedon=mesh.Boundaries("|".join(values)))
    # form is scaled by 1e-3 twice over from metres: grad in 1/mm, volume in mm3 -> 1e6 * 1e-9 = 1e-3
    history = newton(form, space, phi)
    field = 1e3 * ng.sqrt(ng.InnerProduct(ng.grad(phi), ng.grad(phi)) + 1e-12)
    sigma = law["s0"] + (law["s1"] - law["s0"]) / (1 + ng.exp(-(field - law["ec_v_per_m"]) / law["w_v_per_m"]))
    power = 1e-9 * ng.Integrate(sigma * field * field, mesh, order=2 * order + 3)
    # the part behind the plane at mean potential dissipates as much again
    halves = 2 if case["middle"] is not None else 1
    return {
        "order": order,
        "factor": factor,
        "current_a": power * case["mirror"] * halves / case["voltage_v"],
        "unknowns": space.ndof,
        "residual": history[-1],
        "newton": len(history) - 1,
        "seconds": round(time.perf_counter() - started, 1),
    }


def newton(form: Any, space: Any, phi: Any) -> list[float]:
    """Solve from the given boundary values; relative residuals."""
    free = ng.Projector(space.FreeDofs(), True)
    residual, step, trial = (phi.vec.CreateVector() for _ in range(3))

    def norm(at: Any) -> float:
        form.Apply(at, residual)
        residual.data = free * residual
        return float(residual.Norm())

    history = [norm(phi.vec)]
    for _ in range(40):
        if history[-1] < 1e-9 * history[0]:
            break
        form.Apply(phi.vec, residual)
        form.AssembleLinearization(phi.vec)
        step.data = form.mat.Inverse(space.FreeDofs(), inverse="sparsecholesky") * residual
        for halving in range(STEP_LENGTHS):
            trial.data = phi.vec - 0.5**halving * step
            now = norm(trial)
            if now < history[-1]:
                break
        phi.vec.data = trial
        history.append(now)  # pyright: ignore[reportPossiblyUnboundVariable]
    return [h / history[0] for h in history]


def main() -> None:
    wanted = sys.argv[1:] or list(cases())
    known = json.loads(OUT.read_text()) if OUT.exists() else {}
    for name in wanted:
        case = cases()[name]
        rows = []
        for order, factor in LEVELS:
            rows.append(solve(case, order, factor))
            print(name, rows[-1], flush=True)  # noqa: T201
        uncertainty = abs(rows[-2]["current_a"] / rows[-1]["current_a"] - 1)
        known[name] = {
            "inputs": case,
            "current_a": rows[-1]["current_a"],
            "uncertainty_rel": uncertainty,
            "levels": rows,
        }
        OUT.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    with ng.TaskManager():
        main()
