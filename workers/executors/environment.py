"""The environment of a worker's process: shared by all executors whose workers are processes."""

from __future__ import annotations

import os

PASSED_ON = (
    # Where results go, so that no worker writes to another store. No keys: Ray keeps these variables and shows them.
    "AWS_ALLOW_HTTP",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "JAX_COMPILATION_CACHE_DIR",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
    "JAX_PLATFORMS",
    "POREFIELD_CACHE_DIR",
)


def environment(threads: int, gpus: float) -> dict[str, str]:
    """Environment of a worker's process: its numerics keep to their threads and their share of a GPU."""
    variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    # the last is XLA's: its flag against threads leaves some that wait for work by spinning, 0.1 s of CPU for 0.07
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PJRT_NPROC"):
        variables[name] = str(threads)
    if 0 < gpus < 1:
        variables["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.9 * gpus:.3f}"
    return variables
