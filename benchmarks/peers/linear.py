"""The peers' linear solvers, each with the best options found for the two needles, behind one interface."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numba  # pyright: ignore[reportMissingImports]
import numpy as np
from numpy.typing import NDArray

from .network import Network
from .nonlinear import Make

Floats = NDArray[np.float64]
SHIMS = Path(__file__).with_name("shims.c")
DEBIAN = {"hypre": "libhypre-dev", "petsc": "libpetsc-real-dev"}


LAG = 4
"""Steps that algebraic multigrid keeps a hierarchy for: its set-up costs as much as several solves."""


@dataclass(frozen=True)
class Peer:
    """A linear solver: how it is made, its version, what it is set to."""

    make: Make
    version: Callable[[], str]
    options: str


def released(package: str) -> Callable[[], str]:
    return lambda: f"{package} {importlib.metadata.version(package)}"


# -- the network as a compressed sparse row matrix ---------------------------------------------------------------------


@numba.njit(cache=True)
def fill_rows(ex, ey, ez, diagonal, pointers, columns, values, pattern):
    """Rows of the whole 7-point pattern in the order of the columns; metal and the outside have no neighbours."""
    nx, ny, nz = diagonal.shape
    row = entry = 0
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                for d in range(7):
                    if d == 0:
                        ok, step = i > 0, -ny * nz
                        g = ex[i - 1, j, k] if ok else 0.0
                    elif d == 1:
                        ok, step = j > 0, -nz
                        g = ey[i, j - 1, k] if ok else 0.0
                    elif d == 2:
                        ok, step = k > 0, -1
                        g = ez[i, j, k - 1] if ok else 0.0
                    elif d == 3:
                        ok, step, g = True, 0, -diagonal[i, j, k]
                    elif d == 4:
                        ok, step, g = k < nz - 1, 1, ez[i, j, k]
                    elif d == 5:
                        ok, step, g = j < ny - 1, nz, ey[i, j, k]
                    else:
                        ok, step, g = i < nx - 1, ny * nz, ex[i, j, k]
                    if ok and g != 0.0:
                        if pattern:
                            columns[entry] = row + step
                        values[entry] = -g
                        entry += 1
                row += 1
                if pattern:
                    pointers[row] = entry


class Rows:
    """The matrix of a network; `refresh` writes new values over the old."""

    def __init__(self, net: Network) -> None:
        import scipy.sparse

        n = net.diagonal.size
        net.update(net.at_rest(), linear=True)
        self.net = net
        pointers, columns, values = np.zeros(n + 1, np.int32), np.zeros(7 * n, np.int32), np.zeros(7 * n)
        fill_rows(net.ex, net.ey, net.ez, net.diagonal, pointers, columns, values, True)
        entries = pointers[-1]
        parts = (values[:entries].copy(), columns[:entries].copy(), pointers)
        self.matrix = scipy.sparse.csr_matrix(parts, shape=(n, n), copy=False)
        self.matrix.has_sorted_indices = True

    def refresh(self) -> Any:
        net, m = self.net, self.matrix
        fill_rows(net.ex, net.ey, net.ez, net.diagonal, m.indptr, m.indices, m.data, False)
        return m


# -- packages that take such a matrix ----------------------------------------------------------------------------------


class PyAMG:
    """Smoothed aggregation of PyAMG in SciPy's CG."""

    lag = LAG

    def __init__(self, net: Network) -> None:
        self.rows, self.shape = Rows(net), net.diagonal.shape

    def setup(self) -> None:
        import pyamg  # pyright: ignore[reportMissingImports]

        # one forward and one backward Gauss-Seidel sweep keep the cycle symmetric
        forward, backward = (("gauss_seidel", {"sweep": sweep}) for sweep in ("forward", "backward"))
        self.hierarchy = pyamg.smoothed_aggregation_solver(
            self.rows.refresh(),
            strength=("symmetric", {"theta": 0.0}),
            smooth=("jacobi", {"omega": 4.0 / 3.0}),
            improve_candidates=None,
            presmoother=forward,
            postsmoother=backward,
            max_coarse=500,
        )
        self.cycle = self.hierarchy.aspreconditioner(cycle="V")

    def refresh(self) -> None:
        self.rows.refresh()

    def solve(self, rhs: Floats, reduction: float) -> tuple[Floats, int]:
        from scipy.sparse.linalg import cg

        counted: list[None] = []
        x, _ = cg(
            self.rows.matrix,
            rhs.reshape(-1),
            rtol=reduction,
            atol=0.0,
            M=self.cycle,
            callback=lambda _: counted.append(None),
        )
        return x.reshape(self.shape), len(counted)

    def precondition(self, rhs: Floats) -> Floats:
        return self.cycle.matvec(rhs.reshape(-1)).reshape(self.shape)


class AMGCL:
    """Smoothed aggregation of AMGCL in its own CG."""

    lag = LAG

    def __init__(self, net: Network) -> None:
        self.rows, self.shape = Rows(net), net.diagonal.shape

    def setup(self) -> None:
        import pyamgcl  # pyright: ignore[reportMissingImports]

        options = {"coarsening.type": "smoothed_aggregation", "relax.type": "gauss_seidel"}
        self.cycle = pyamgcl.amg(self.rows.refresh(), options)

    def refresh(self) -> None:
        self.rows.refresh()

    def solve(self, rhs: Floats, reduction: float) -> tuple[Floats, int]:
        import pyamgcl  # pyright: ignore[reportMissingImports]

        solver = pyamgcl.solver(self.cycle, {"type": "cg", "tol": reduction, "maxiter": 500})
        return solver(self.rows.matrix, rhs.reshape(-1)).reshape(self.shape), solver.iters

    def precondition(self, rhs: Floats) -> Floats:
        return self.cycle(rhs.reshape(-1)).reshape(self.shape)


class Direct:
    """A factorisation by SciPy's SuperLU; exact, so that one iteration solves."""

    def __init__(self, net: Network) -> None:
        self.rows, self.shape = Rows(net), net.diagonal.shape

    def setup(self) -> None:
        from scipy.sparse.linalg import splu

        symmetric = {"SymmetricMode": True}
        matrix = self.rows.refresh().tocsc()
        self.factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=symmetric)

    def refresh(self) -> None:
        self.setup()

    def solve(self, rhs: Floats, reduction: float) -> tuple[Floats, int]:
        return self.precondition(rhs), 1

    def precondition(self, rhs: Floats) -> Floats:
        return self.factors.solve(rhs.reshape(-1)).reshape(self.shape)


class JaxCG:
    """What is written first in JAX: slices and pads in three dimensions, jax.scipy's CG with the diagonal, float64."""

    def __init__(self, net: Network) -> None:
        import jax

        jax.config.update("jax_enable_x64", True)
        self.net = net
        # a residual that fell to 0.3 leaves too much of the smooth error: Anderson's iteration then stalls
        self.reduction = 1e-3
        self.compiled = jax.jit(jax_cg)

    def setup(self) -> None:
        import jax.numpy as jnp

        net = self.net
        self.arrays = tuple(jnp.asarray(a) for a in (net.ex, net.ey, net.ez, net.diagonal))

    def refresh(self) -> None:
        self.setup()

    def solve(self, rhs: Floats, reduction: float) -> tuple[Floats, int]:
        # jax.scipy's CG does not tell its iterations
        return np.asarray(self.compiled(*self.arrays, rhs, reduction)), 0

    def precondition(self, rhs: Floats) -> Floats:
        return rhs / self.net.diagonal


def jax_cg(ex, ey, ez, diagonal, rhs, reduction):
    import jax.numpy as jnp
    from jax.scipy.sparse.linalg import cg

    def matrix(x):
        out = diagonal * x
        for axis, e in enumerate((ex, ey, ez)):
            inner = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
            outer = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
            before = [(1, 0) if a == axis else (0, 0) for a in range(3)]
            after = [(0, 1) if a == axis else (0, 0) for a in range(3)]
            out = out - jnp.pad(e[inner] * x[outer], after) - jnp.pad(e[inner] * x[inner], before)
        return out

    return cg(matrix, rhs, tol=reduction, atol=0.0, maxiter=20000, M=lambda v: v / diagonal)[0]


# -- C libraries -------------------------------------------------------------------------------------------------------


class Missing(Exception):
    """What a peer needs is not installed."""


@cache
def shim(name: str) -> ctypes.CDLL:
    """shims.c compiled against hypre or PETSc, kept in the peers' environment.

    Raises:
        Missing: no MPI compiler, or no headers and library.
    """
    if shutil.which("mpicc") is None:
        raise Missing(f"needs mpicc and {name} (Debian: {DEBIAN[name]})")
    mark = hashlib.sha256(SHIMS.read_bytes()).hexdigest()[:12]
    out = Path(sys.prefix) / "lib" / f"shim_{name}_{mark}.so"
    if not out.exists():
        flags = {"hypre": ["-DWITH_HYPRE", "-I/usr/include/hypre", "-lHYPRE"], "petsc": ["-DWITH_PETSC"]}[name]
        if name == "petsc":
            found = subprocess.run(
                ["pkg-config", "--cflags", "--libs", petsc_package()], text=True, capture_output=True
            )
            flags += found.stdout.split()
        command = [
            "mpicc",
            "-Werror=implicit-function-declaration",
            "-O3",
            "-march=native",
            "-shared",
            "-fPIC",
            str(SHIMS),
            "-o",
            str(out),
            *flags,
            "-lm",
        ]
        done = subprocess.run(command, text=True, capture_output=True)
        if done.returncode:
            raise Missing(f"needs {name} (Debian: {DEBIAN[name]}): {done.stderr.strip().splitlines()[-1]}")
    library = ctypes.CDLL(str(out), mode=ctypes.RTLD_GLOBAL)
    for function in ("structured_new", "algebraic_new"):
        if hasattr(library, function):
            getattr(library, function).restype = ctypes.c_void_p
    return library


def petsc_package() -> str:
    for name in ("petsc-real", "PETSc", "petsc"):
        if subprocess.run(["pkg-config", "--exists", name]).returncode == 0:
            return name
    raise Missing(f"needs petsc (Debian: {DEBIAN['petsc']})")


def shim_version(name: str) -> Callable[[], str]:
    def version() -> str:
        text = ctypes.create_string_buffer(64)
        shim(name).shim_version(text)
        return f"{name} {text.value.decode()}"

    return version


def pointer(a: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(a.ctypes.data)


class PFMG:
    """hypre's geometric multigrid for structured grids (semicoarsening, red-black Gauss-Seidel)."""

    OPTIONS = (2, 1, 1)
    """Relaxation (symmetric red-black Gauss-Seidel), skipped where it may be, 7-point coarse operators."""

    def __init__(self, net: Network) -> None:
        self.library, self.net = shim("hypre"), net
        self.handle = ctypes.c_void_p(self.library.structured_new(*net.diagonal.shape, *self.OPTIONS))
        self.lower = [np.zeros_like(net.ex) for _ in range(3)]
        self.x = np.zeros_like(net.ex)

    def setup(self) -> None:
        net, (x, y, z) = self.net, self.lower
        np.negative(net.ex[:-1], out=x[1:])
        np.negative(net.ey[:, :-1], out=y[:, 1:])
        np.negative(net.ez[:, :, :-1], out=z[:, :, 1:])
        self.library.structured_setup(self.handle, *map(pointer, (net.diagonal, z, y, x)))

    def refresh(self) -> None:
        self.setup()

    def solve(self, rhs: Floats, reduction: float) -> tuple[Floats, int]:
        rhs = np.ascontiguousarray(rhs)
        count = self.library.structured_solve(self.handle, pointer(rhs), pointer(self.x), ctypes.c_double(reduction))
        return self.x.copy(), count

    def precondition(self, rhs: Floats) -> Floats:
        rhs = np.ascontiguousarray(rhs)
        self.library.structured_cycle(self.handle, pointer(rhs), pointer(self.x))
        return self.x


BOOMERAMG = (
    "-pc_type hypre -pc_hypre_type boomeramg -pc_hypre_boomeramg_coarsen_type PMIS "
    "-pc_hypre_boomeramg_interp_type ext+i -pc_hypre_boomeramg_strong_threshold 0.5 -pc_hypre_boomeramg_agg_nl 1 "
    "-pc_hypre_boomeramg_P_max 4 -pc_hypre_boomeramg_relax_type_all symmetric-SOR/Jacobi"
)
GAMG = (
    "-pc_type gamg -pc_gamg_threshold 0.0 -pc_gamg_aggressive_coarsening 2 -mg_levels_ksp_type chebyshev "
    "-mg_levels_ksp_max_it 1 -mg_levels_pc_type sor -pc_gamg_reuse_interpolation 0"
)


class PETSc:
    """PETSc's CG with a preconditioner by its options."""

    options: str = GAMG
    lag = LAG

    def __init__(self, net: Network) -> None:
        self.library, self.rows = shim("petsc"), Rows(net)
        m = self.rows.matrix
        arrays = (ctypes.c_int(len(m.indptr) - 1), *map(pointer, (m.indptr, m.indices, m.data)))
        self.handle = ctypes.c_void_p(self.library.algebraic_new(*arrays, self.options.encode()))

    def setup(self) -> None:
        self.rows.refresh()
        self.library.algebraic_setup(self.handle, 0)

    def refresh(self) -> None:
        self.rows.refresh()
        self.library.algebraic_setup(self.handle, 1)

    def solve(self, rhs: Floats, reduction: float) -> tuple[Floats, int]:
        rhs, x = np.ascontiguousarray(rhs), np.zeros_like(rhs)
        count = self.library.algebraic_solve(self.handle, pointer(rhs), pointer(x), ctypes.c_double(reduction))
        return x, count

    def precondition(self, rhs: Floats) -> Floats:
        rhs, x = np.ascontiguousarray(rhs), np.zeros_like(rhs)
        self.library.algebraic_cycle(self.handle, pointer(rhs), pointer(x))
        return x


class BoomerAMG(PETSc):
    """hypre's algebraic multigrid."""

    options = BOOMERAMG


def options_of(text: str) -> str:
    return text.replace("-pc_hypre_boomeramg_", "").replace("-pc_gamg_", "").replace("-", "")


PEERS: dict[str, Peer] = {
    "hypre PFMG": Peer(
        PFMG, shim_version("hypre"), "red-black Gauss-Seidel (symmetric), skip relaxation, 7-point coarse operators"
    ),
    "PETSc GAMG": Peer(PETSc, shim_version("petsc"), options_of(GAMG)),
    "PETSc BoomerAMG": Peer(BoomerAMG, shim_version("petsc"), options_of(BOOMERAMG)),
    "AMGCL": Peer(AMGCL, released("pyamgcl"), "smoothed aggregation, Gauss-Seidel"),
    "PyAMG": Peer(PyAMG, released("pyamg"), "smoothed aggregation, theta 0, Jacobi-smoothed, Gauss-Seidel"),
    "JAX CG": Peer(JaxCG, released("jax"), "jax.scipy.sparse.linalg.cg, diagonal, float64"),
    "SciPy direct": Peer(Direct, released("scipy"), "SuperLU, minimum degree, symmetric mode"),
}
"""By the name that tables have."""
