# The training image: a job that reads interactions and publishes a model, then ends.
# Built from the project's root: docker build -f docker/training.Dockerfile .
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
# PyTorch's CPU index: the packages on PyPI bring several GB of CUDA with them.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG TORCH_VERSION=2.13.0
RUN python3 -m venv --without-pip /opt/hashrec
WORKDIR /src
COPY requirements/training.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --disable-pip-version-check --python /opt/hashrec/bin/python install \
        --quiet --only-binary :all: --require-hashes -r requirements/training.txt
# A wheel in docker/wheels/ goes before the index: a build that does not reach it still works.
# torch's own requirements are in the lock already; its tests and C++ headers stay out.
RUN --mount=type=bind,source=docker/wheels,target=/wheels \
    if ls /wheels/torch-${TORCH_VERSION}*.whl 2>/dev/null; \
    then set -- --no-index --find-links /wheels; \
    else set -- --index-url "${TORCH_INDEX}"; fi; \
    pip --disable-pip-version-check --python /opt/hashrec/bin/python install \
        --quiet --no-cache-dir --no-deps --only-binary :all: "$@" "torch==${TORCH_VERSION}" \
 && rm -r /opt/hashrec/lib/python3*/site-packages/torch/test \
          /opt/hashrec/lib/python3*/site-packages/torch/include
COPY pyproject.toml README.md LICENSE ./
# In the checkout src/hashrec has links to these folders; here are the folders themselves.
COPY src/hashrec/*.py src/hashrec/py.typed src/hashrec/
COPY index/ src/hashrec/index/
COPY training/ src/hashrec/training/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --disable-pip-version-check --python /opt/hashrec/bin/python install --quiet --no-deps .

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="hashrec training" \
      org.opencontainers.image.licenses="Apache-2.0"
# The same user as the service's: it reads what this one publishes.
RUN groupadd --gid 10001 hashrec \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin hashrec \
 && install --directory --owner 10001 --group 10001 /store /state
COPY --from=build /opt/hashrec /opt/hashrec
ENV PATH=/opt/hashrec/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /tmp
USER 10001:10001
# The first process of a container ignores SIGTERM unless it handles it; Python handles SIGINT.
STOPSIGNAL SIGINT
ENTRYPOINT ["hashrec"]
CMD ["retrain", "--data", "synthetic", "--store", "/store"]
