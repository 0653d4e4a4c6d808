# Exported models that answer over HTTP: onnxruntime, no TensorFlow, for a user without rights, on a read-only root:
#   docker build -f docker/serve.Dockerfile -t transfercli-serve .
#   docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --pids-limit 256 \
#     -p 127.0.0.1:8500:8500 -v "$PWD/runs/flowers/RUN_ID/exports/onnx:/models/flowers:ro" \
#     -v "$PWD/token:/run/token:ro" transfercli-serve flowers=/models/flowers --token-file /run/token
# A champion that is followed: mount the runs, and give flowers=flowers@champion --runs /runs --format onnx.
# Not built in CI, which has no Docker: CI runs the server with these packages alone, and hadolint passes.
FROM python:3.13-slim-bookworm AS build
ARG TARGETARCH
WORKDIR /src
COPY docker/requirements-${TARGETARCH}.lock requirements.lock
COPY docker/serve-packages.txt serve-packages.txt
# The few packages of the whole program's lock that serving takes, with their hashes: 0.3 GB in place of 2.
RUN awk 'NR == FNR { keep[$1]; next } /^[a-z]/ { split($1, name, "=="); on = name[1] in keep } on' \
        serve-packages.txt requirements.lock > serve.lock \
    && python -m venv /opt/transfercli \
    && /opt/transfercli/bin/python -m pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: \
        -r serve.lock
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY configs configs
COPY transfercli transfercli
RUN /opt/transfercli/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/transfercli/bin/python -m compileall -q /opt/transfercli/lib

FROM python:3.13-slim-bookworm
RUN useradd --uid 1000 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin transfercli
COPY --from=build /opt/transfercli /opt/transfercli
ENV PATH=/opt/transfercli/bin:$PATH \
    TRANSFERCLI_CACHE=/tmp/transfercli \
    PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
WORKDIR /models
EXPOSE 8500
# SIGTERM: the requests under way are answered within 12 seconds, and the exit code is 143 (docker stop --time 15).
STOPSIGNAL SIGTERM
# 503 until all models answer. The path needs no token.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8500/readyz', timeout=2)"]
ENTRYPOINT ["transfercli", "serve", "--host", "0.0.0.0", "--port", "8500"]
CMD ["--help"]
