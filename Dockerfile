# CPU:         docker build -t porefield .
# NVIDIA GPU:  docker build --build-arg JAX_EXTRA=cuda13 -t porefield:cuda13 .
# Ray cluster: add --build-arg CLUSTER=1 to either (docs/cluster.md)
# Use:         docker run --rm -v "$PWD:/data" --user "$(id -u):$(id -g)" porefield run plan.yaml --out result
ARG PYTHON_VERSION=3.12
FROM python:${PYTHON_VERSION}-slim

# Name a pin file: requirements/runtime.txt, -cuda13 for a GPU, -cluster and -cluster-cuda13 for nodes of a Ray cluster.
ARG JAX_EXTRA=""
ARG CLUSTER=""

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1 \
    MPLBACKEND=Agg \
    POREFIELD_EXPECT_GPU=${JAX_EXTRA:+1} \
    HOME=/home/porefield \
    XDG_CACHE_HOME=/tmp/porefield-cache \
    MPLCONFIGDIR=/tmp/porefield-cache/matplotlib

RUN useradd --create-home --home-dir /home/porefield --uid 10001 porefield \
 && mkdir /data && chown porefield:porefield /data

WORKDIR /opt/porefield
COPY requirements/ requirements/
RUN pip install --require-hashes -r "requirements/runtime${CLUSTER:+-cluster}${JAX_EXTRA:+-$JAX_EXTRA}.txt"

# KubeRay's probes call wget.
RUN if [ -n "$CLUSTER" ]; then \
      apt-get update && apt-get install --yes --no-install-recommends wget && rm -rf /var/lib/apt/lists/*; \
    fi

COPY pyproject.toml README.md LICENSE ./
COPY kernels/ kernels/
COPY meshes/ meshes/
COPY workers/ workers/
COPY service/ service/
RUN pip install --no-deps --no-build-isolation .
COPY --chmod=755 deploy/entrypoint.sh /usr/local/bin/porefield-entrypoint

USER porefield
WORKDIR /data
HEALTHCHECK --interval=5m --timeout=30s --start-period=30s CMD ["porefield", "--version"]
ENTRYPOINT ["porefield-entrypoint"]
CMD ["--help"]
