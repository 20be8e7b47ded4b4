"""NGSolve on the fixed problem as a program that solves when told: body-fitted curved tetrahedra, Newton's method.

python -m benchmarks.peers.ngsolve_worker GEOMETRY ORDER FACTOR SOLVER TOLERANCE. Each time the mesh is made anew, as a
needle that has moved would ask; its seconds stand beside those of the solve. SOLVER is direct (sparse Cholesky of the
condensed matrix) or bddc (CG with NGSolve's preconditioner for high orders). The current is dissipated power / voltage.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import ngsolve as ng  # pyright: ignore[reportMissingImports]
from netgen import occ  # pyright: ignore[reportMissingImports]

from .protocol import Record, clock, serve

FAR_MM, SURFACE_RADII, EDGE_MM, GRADING, CURVATURE = 6.0, 0.8, 0.2, 0.5, 1.0
"""Element sizes at factor 1: away from metal, on it (in radii), at its rims; how fast they may grow; how much finer
than a curve's radius."""
STEP_LENGTHS = 8


def make_mesh(g: dict[str, Any], order: int, factor: float) -> Any:
    """Lengths are millimetres. Metal is left out; its faces are named needle0 and needle1."""
    size, radius = g["box_mm"], 0.5 * g["diameter_mm"]
    box = occ.Box(occ.gp_Pnt(0, 0, 0), occ.gp_Pnt(size, size, size))
    ball = occ.Sphere(occ.gp_Pnt(*(3 * [0.5 * size])), g["ball_mm"])
    for k, centre in enumerate(g["centres_mm"]):
        x, y, z = centre
        needle = occ.Cylinder(occ.gp_Pnt(x, y, z - 0.5 * g["length_mm"]), occ.Z, r=radius, h=g["length_mm"])
        needle.faces.name = f"needle{k}"
        needle.faces.maxh = factor * SURFACE_RADII * radius
        needle.edges.maxh = factor * EDGE_MM
        box, ball = box - needle, ball - needle
    ball.mat("tumour")
    rest = box - ball
    rest.mat("liver")
    sizes = occ.OCCGeometry(occ.Glue([rest, ball]))
    mesh = ng.Mesh(sizes.GenerateMesh(maxh=FAR_MM * factor, grading=GRADING, curvaturesafety=CURVATURE))
    mesh.Curve(order)
    return mesh


def conductivity(g: dict[str, Any], mesh: Any, strength: Any) -> Any:
    """Logistic laws of both tissues, S/m."""
    s0, s1, middle, width = (
        mesh.MaterialCF({"liver": a, "tumour": b}) for a, b in zip(g["liver"], g["tumour"], strict=True)
    )
    return s0 + (s1 - s0) / (1 + ng.exp(-(strength - middle) / width))


def solve(g: dict[str, Any], order: int, factor: float, solver: str, tolerance: float) -> Record:
    began = clock()
    mesh = make_mesh(g, order, factor)
    meshed = clock()
    space = ng.H1(mesh, order=order, dirichlet="needle0|needle1")
    u, v = space.TnT()
    gradient = 1e3 * ng.grad(u)
    strength = ng.sqrt(ng.InnerProduct(gradient, gradient) + 1e-6)
    form = ng.BilinearForm(space, symmetric=True, condense=True)
    form += (conductivity(g, mesh, strength) * 1e-3 * ng.grad(u) * ng.grad(v)).Compile() * ng.dx
    # NGSolve asks for the preconditioner before the matrix is assembled
    preconditioner = ng.Preconditioner(form, "bddc") if solver == "bddc" else None
    phi = ng.GridFunction(space)
    boundary = mesh.BoundaryCF({"needle0": g["voltage_v"], "needle1": 0.0})
    phi.Set(boundary, definedon=mesh.Boundaries("needle0|needle1"))
    steps, residual = newton(form, space, phi, preconditioner, tolerance)
    field = 1e3 * ng.Norm(ng.grad(phi))
    sigma = conductivity(g, mesh, field)
    power = 1e-9 * ng.Integrate(sigma * field * field, mesh, order=2 * order)
    return {
        "seconds": clock() - meshed,
        "mesh_seconds": meshed - began,
        "unknowns": space.ndof,
        "steps": steps,
        "residual": residual,
        "converged": residual <= tolerance,
        "current_a": power / g["voltage_v"],
    }


def newton(form: Any, space: Any, phi: Any, preconditioner: Any, tolerance: float) -> tuple[int, float]:
    """Newton's method with step halving; steps and residual over that of the start."""
    free = ng.Projector(space.FreeDofs(), True)
    residual, step, trial = (phi.vec.CreateVector() for _ in range(3))

    def norm(at: Any) -> float:
        form.Apply(at, residual)
        residual.data = free * residual
        return float(residual.Norm())

    start = now = norm(phi.vec)
    for k in range(40):
        if now <= tolerance * start:
            return k, now / start
        form.AssembleLinearization(phi.vec)
        form.Apply(phi.vec, residual)
        if preconditioner is None:
            inverse = form.mat.Inverse(space.FreeDofs(coupling=True), inverse="sparsecholesky")
        else:
            inverse = ng.CGSolver(form.mat, preconditioner.mat, tol=1e-2, maxiter=300)
        residual.data += form.harmonic_extension_trans * residual
        step.data = inverse * residual
        step.data += form.harmonic_extension * step
        step.data += form.inner_solve * residual
        before = now
        for halving in range(STEP_LENGTHS):
            trial.data = phi.vec - 0.5**halving * step
            now = norm(trial)
            if now < before:
                break
        phi.vec.data = trial
    return 40, now / start


def main(geometry: str, order: str, factor: str, solver: str, tolerance: str) -> None:
    ng.SetNumThreads(1)
    g = json.loads(geometry)
    told: Record = {
        "peer": f"NGSolve, order {order}",
        "method": solver,
        "version": f"ngsolve {ng.__version__}",
        "options": f"curved tetrahedra, {solver}",
    }
    serve(lambda: solve(g, int(order), float(factor), solver, float(tolerance)), told)


if __name__ == "__main__":
    main(*sys.argv[1:])
