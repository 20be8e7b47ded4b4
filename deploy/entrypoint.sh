#!/bin/sh
# Starts porefield in its container. An image built for a GPU that finds none says so loudly, then goes on with the CPU.
set -eu

if [ -n "${POREFIELD_EXPECT_GPU:-}" ]; then
    platform=$(python -c 'import jax; print(jax.default_backend())' 2>/dev/null || echo none)
    if [ "$platform" != gpu ]; then
        {
            echo "***********************************************************************"
            echo "WARNING: this image was built for a GPU, but JAX finds none (platform: $platform)."
            echo "Everything below runs on the CPU, many times slower. Give the container"
            echo "a GPU (docker run --gpus all ...), and check that the host's driver"
            echo "supports the CUDA version of the image."
            echo "***********************************************************************"
        } >&2
    fi
fi

exec porefield "$@"
