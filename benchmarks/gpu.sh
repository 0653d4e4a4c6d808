#!/bin/sh
# Features and training on one accelerator with JAX, beside the device's own limit, plain Keras and plain PyTorch.
#
# Usage: benchmarks/gpu.sh OUT        writes OUT/gpu.json and OUT/gpu.md, and prints the latter
#        SMOKE=1 benchmarks/gpu.sh OUT    tiny settings on a processor: shows that the script runs to its end
#
# Nothing is downloaded. PYTHON: an interpreter with JAX (and PyTorch, if that is to be measured); SITE: a folder with
# the other packages of the program, made where there is a network and carried along:
#   pip download --no-deps --only-binary=:all: --python-version 3.12 --platform manylinux2014_x86_64 -d wheels \
#     keras pydantic pydantic-core annotated-types typing-inspection PyYAML typer rich optree namex absl-py ...
#   pip install --no-index --no-deps --no-compile --target SITE wheels/*.whl
# SECONDS_IN_ALL bounds the run (540): a part that would start later is left out, and the table says so.
set -eu

out=${1:?usage: benchmarks/gpu.sh OUT}
python=${PYTHON:-python3}
cd "$(dirname "$0")/.."
PYTHONPATH="$PWD${SITE:+:$SITE}${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH KERAS_BACKEND=jax XLA_PYTHON_CLIENT_PREALLOCATE=false TF_CPP_MIN_LOG_LEVEL=3 PYTHONUNBUFFERED=1
if [ -n "${SMOKE:-}" ]; then
  export JAX_PLATFORMS=cpu
  exec "$python" -m benchmarks.gpu "$out" --base small_cnn --side 32 --images 96 --batch 16 --steps 3 --epochs 3 \
    --seconds "${SECONDS_IN_ALL:-540}"
fi
exec "$python" -m benchmarks.gpu "$out" --seconds "${SECONDS_IN_ALL:-540}"
