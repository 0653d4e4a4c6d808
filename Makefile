# Targets for people and for CI. A machine needs only make and Python 3.11 to 3.13; everything else is installed here.

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.transfercli-installed
CLI := $(BIN)/transfercli
# Tools of audit and sbom, apart from what the program needs.
SUPPLY := build/supply
COMPILE := build/lock/bin/uv pip compile pyproject.toml --quiet --extra onnx --extra litert --extra openvino --extra sweep --extra serve --only-binary :all: \
  --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
IMAGE := --constraint requirements.lock --python-version 3.13
DEMO := build/demo
RUNS := --runs $(DEMO)/runs
# The demo's base, and the rate at which it learns from random weights: make demo BASE=vgg16
BASE ?= small_cnn
RATE ?= $(if $(filter vgg16,$(BASE)),1e-4,1e-3)
NETWORK := --set model.base=$(BASE) --set data.image_size=32

# The plain python3 where it fits, else the newest that does. Override with: make test PYTHON=/path/to/python
FITS := import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(shell $(p) -c '$(FITS)' >/dev/null 2>&1 && echo $(p))))

# Processes that run tests at once; each takes about 3 GB.
WORKERS ?= 2

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: help venv test test-slow test-jax test-browser test-mlflow lint format demo bench docs lock audit sbom clean

help:  ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP)  ## create the environment from the hash-locked requirements (VENV=.venv, PYTHON=python3)

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 to 3.13 with venv and ensurepip was found; install one or say PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	$(PYTHON) -m venv "$(VENV)"
	@echo "Installing the locked packages, 3 GB on disk: this takes some minutes and prints nothing until it is done"
	"$(BIN)/python" -m pip install --quiet --require-hashes --only-binary :all: -r requirements.lock
	"$(BIN)/python" -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch "$@"

test: venv  ## run the tests (all but the slow ones)
	"$(BIN)/python" -m pytest -q -m "not slow and not browser and not mlflow" -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

test-slow: venv  ## run the slow tests
	"$(BIN)/python" -m pytest -q -m "slow and not browser and not mlflow" $(PYTEST_ARGS)

test-jax:  ## run the fast tests with Keras on JAX in place of TensorFlow, in an environment of their own
	$(PYTHON) -m venv build/jax
	build/jax/bin/python -m pip install --quiet -e '.[jax,onnx,litert,openvino,serve,dev]'
	KERAS_BACKEND=jax JAX_PLATFORMS=cpu build/jax/bin/python -m pytest -q -m "not slow and not browser and not mlflow" \
	  -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

test-browser: venv  ## run the tests of the report in a browser; needs Chromium (CHROMIUM=/path/to/it)
	"$(BIN)/python" -m pip install --quiet --no-build-isolation -e '.[browser]'
	"$(BIN)/python" -m pytest -q -m browser tests/browser $(PYTEST_ARGS)

test-mlflow:  ## run the tests of tracking against a real MLflow server, in an environment of their own
	$(PYTHON) -m venv build/mlflow
	build/mlflow/bin/python -m pip install --quiet -e '.[mlflow,dev]'
	build/mlflow/bin/python -m pytest -q -m mlflow tests/services $(PYTEST_ARGS)

lint: venv  ## ruff (rules and format) and mypy
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .
	"$(BIN)/mypy"

format: venv  ## mend what ruff can mend
	"$(BIN)/ruff" check --fix .
	"$(BIN)/ruff" format .

demo: venv  ## pretrain on the digits 0-4, fine-tune on 5-9, evaluate, export (BASE=small_cnn, under build/demo)
	@rm -rf "$(DEMO)" && mkdir -p "$(DEMO)"
	$(CLI) sample digits-source "$(DEMO)/data/digits-source"
	$(CLI) sample digits-target "$(DEMO)/data/digits-target"
	$(CLI) pretrain configs/quickstart/pretrain.yaml --set data.train=../../$(DEMO)/data/digits-source $(NETWORK) --set training.optimizer.learning_rate=$(RATE) $(RUNS)
	$(CLI) finetune configs/quickstart/finetune.yaml --set data.train=../../$(DEMO)/data/digits-target $(NETWORK) $(RUNS)
	$(CLI) finetune configs/quickstart/scratch.yaml --set data.train=../../$(DEMO)/data/digits-target $(NETWORK) --set training.optimizer.learning_rate=$(RATE) $(RUNS)
	$(CLI) evaluate digits-scratch $(RUNS)
	$(CLI) evaluate digits-target $(RUNS)
	$(CLI) export digits-target --format saved_model --format keras $(RUNS)
	@"$(BIN)/python" benchmarks/demo_table.py "$(DEMO)/runs"

bench: venv  ## run the benchmarks (benchmarks/README.md); with DATA=folder also that of Fashion-MNIST
	@mkdir -p build
	"$(BIN)/python" -m benchmarks.frozen build/frozen.json
	"$(BIN)/python" -m benchmarks.estimates build/estimates.json
	"$(BIN)/python" -m benchmarks.memory build/memory.json
	"$(BIN)/python" benchmarks/probe.py build/probe.json
	"$(BIN)/python" benchmarks/folding.py build/folding.json
	"$(BIN)/python" -m benchmarks.export build/export.json
	"$(BIN)/python" -m benchmarks.predict build/predict.json
	test -z "$(DATA)" || "$(BIN)/python" benchmarks/fashion_transfer.py "$(DATA)" build/fashion_transfer.json

docs: venv  ## write the references of config and command line, and the JSON Schema of the examples
	"$(BIN)/python" -m transfercli.config.reference_docs docs/reference/config.md
	"$(BIN)/python" -m transfercli.cli.reference_docs docs/reference/cli.md
	$(CLI) config schema -o configs/transfercli.schema.json --quiet

lock:  ## resolve requirements.lock and docker/*.lock anew (the one target that needs uv: it installs its own)
	@test -n "$(PYTHON)" || { echo "No Python 3.11 to 3.13 was found; say PYTHON=/path/to/python" >&2; exit 1; }
	test -x build/lock/bin/uv || { $(PYTHON) -m venv build/lock && build/lock/bin/python -m pip install --quiet uv; }
	$(COMPILE) --upgrade --universal --python-version 3.11 --fork-strategy fewest --extra dev -o requirements.lock
	@# The image takes the versions of requirements.lock without its tools; where there is a tensorflow without CUDA, that.
	@echo "tensorflow ; sys_platform == 'never'" > build/lock/without-tensorflow
	echo "tensorflow-cpu>=2.21" | $(COMPILE) - $(IMAGE) --override build/lock/without-tensorflow \
	  --python-platform x86_64-manylinux_2_36 -o docker/requirements-amd64.lock
	$(COMPILE) $(IMAGE) --python-platform aarch64-manylinux_2_36 -o docker/requirements-arm64.lock
	@! grep -nE '(https?|file):|^ *-|@ |torch' requirements.lock docker/*.lock | grep -v -- '--hash=sha256:'

audit: $(SUPPLY)/.whole  ## look the locked versions up in the vulnerability service of the package index (needs a network; a version not found there fails)
	"$(SUPPLY)/bin/pip-audit" --strict --require-hashes --disable-pip --progress-spinner off -r requirements.lock

sbom: $(SUPPLY)/.whole  ## write build/sbom.json: what the lock installs, as CycloneDX
	"$(SUPPLY)/bin/cyclonedx-py" requirements requirements.lock --pyproject pyproject.toml --output-reproducible --of JSON -o build/sbom.json

$(SUPPLY)/.whole:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 to 3.13 was found; say PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv "$(SUPPLY)"
	"$(SUPPLY)/bin/python" -m pip install --quiet pip-audit cyclonedx-bom
	@touch "$@"

clean:  ## remove what the other targets made, and keep the environment
	rm -rf build dist demo *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find transfercli tests -name __pycache__ -type d -exec rm -rf {} +
