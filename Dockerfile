# transfercli on the CPU, for a user without rights:
#   docker build -t transfercli .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/workspace" -v transfercli-cache:/cache \
#     transfercli finetune config.yaml
# With extras, such as for training on GPUs: docker build --build-arg EXTRAS=jax-cuda -t transfercli-jax .
# Not built in CI, which has no Docker: CI holds the locks to requirements.lock, and hadolint passes.
FROM python:3.13-slim-bookworm AS build
ARG TARGETARCH
WORKDIR /src
# amd64 has a tensorflow without CUDA, tensorflow-cpu; `make lock` writes a lock for each.
COPY docker/requirements-${TARGETARCH}.lock requirements.lock
RUN python -m venv /opt/transfercli \
    && /opt/transfercli/bin/python -m pip install --no-cache-dir --require-hashes --only-binary :all: \
        -r requirements.lock
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY configs configs
COPY transfercli transfercli
RUN /opt/transfercli/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation .
# The packages of the lock stay as they are; only what the extras add is not in it.
ARG EXTRAS=
RUN if [ -n "$EXTRAS" ]; then \
        /opt/transfercli/bin/python -m pip install --no-cache-dir --no-build-isolation ".[$EXTRAS]"; \
    fi

FROM python:3.13-slim-bookworm
# Any user may write to /cache and /workspace, also one that --user names and the image does not know.
RUN useradd --uid 1000 --create-home transfercli \
    && mkdir -m 1777 /cache /workspace
COPY --from=build /opt/transfercli /opt/transfercli
ENV PATH=/opt/transfercli/bin:$PATH \
    TRANSFERCLI_CACHE=/cache/transfercli \
    KERAS_HOME=/cache/keras \
    HF_HOME=/cache/huggingface \
    MPLCONFIGDIR=/cache/matplotlib
USER 1000:1000
WORKDIR /workspace
ENTRYPOINT ["transfercli"]
CMD ["--help"]
