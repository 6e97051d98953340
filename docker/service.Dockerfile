# The serving image: HTTP, Redis client and indexes. No torch and no training code.
# Built from the project's root: docker build -f docker/service.Dockerfile .
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
# The environment has no pip of its own: nothing in the final image installs software.
RUN python3 -m venv --without-pip /opt/hashrec
WORKDIR /src
COPY requirements/serving.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --disable-pip-version-check --python /opt/hashrec/bin/python install \
        --quiet --only-binary :all: --require-hashes -r requirements/serving.txt
# Code comes last, so that a change of it reuses the layers above.
COPY pyproject.toml README.md LICENSE ./
# In the checkout src/hashrec has links to these folders; here are the folders themselves.
COPY src/hashrec/*.py src/hashrec/py.typed src/hashrec/
COPY index/ src/hashrec/index/
COPY service/ src/hashrec/service/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --disable-pip-version-check --python /opt/hashrec/bin/python install --quiet --no-deps .

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="hashrec service" \
      org.opencontainers.image.licenses="Apache-2.0"
# An empty volume takes over the owner of the folder it covers.
RUN groupadd --gid 10001 hashrec \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin hashrec \
 && install --directory --owner 10001 --group 10001 /store /state
COPY --from=build /opt/hashrec /opt/hashrec
ENV PATH=/opt/hashrec/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /tmp
# A number, so that an orchestrator can see that it is not root.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=3s --timeout=3s --start-period=30s --retries=3 CMD ["python", "-ISc", "\
from http.client import HTTPConnection; \
connection = HTTPConnection('127.0.0.1', 8000, timeout=2); \
connection.request('GET', '/readyz'); \
raise SystemExit(connection.getresponse().status != 200)"]
ENTRYPOINT ["hashrec"]
CMD ["serve", "--store", "/store", "--host", "0.0.0.0", "--port", "8000"]
