# Every target first makes the environment in .venv if it is missing or requirements.lock has changed.
STUDY ?= quickstart
SCALE ?= auto
CORES ?= all
PYTHON ?=
# 1: PyTorch's builds for CPUs, without 5 GB of CUDA's libraries; taken where there is no NVIDIA driver.
CPU ?= $(if $(wildcard /proc/driver/nvidia/version),0,1)
CPU_INDEX ?= https://download.pytorch.org/whl/cpu

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.venv/bin:$(PATH)
unexport PYTHONDONTWRITEBYTECODE # set in many containers: each of the hundreds of processes would compile all modules again
ENV := .venv/.stamp

# Snakemake asks for a name and a home, which a user in a container, who is a number only, may lack.
ifeq ($(shell getent passwd "$$(id -u)"),)
export USER := $(or $(USER),user$(shell id -u))
export HOME := $(or $(HOME),$(CURDIR)/.gengap/home)
endif

# Tests of storing, locking, the store, resuming and versions, and the files that they reach all of.
COVERING := tests/files tests/snakemake_support tests/faults tests/test_storage.py tests/test_cell_locks.py tests/test_full_disk.py \
	tests/test_timings.py tests/test_clean.py tests/test_explain.py tests/training/test_cell_store.py tests/training/test_unreadable.py tests/training/test_crash.py \
	tests/workflow/test_legacy_names.py tests/workflow/test_old_results.py tests/workflow/test_interrupts.py tests/workflow/test_fsck.py
COVERED := */files/storage.py,*/files/hdf5.py,*/files/hdf5_output.py,*/files/file_digest.py,*/files/cell_locks.py,*/training/cell_store.py

# Tests that need no other program than those of the environment, and of them those that take long.
HERE := not clone and not slurm and not kills and not faults
THOROUGH := thorough and $(HERE)
WORKERS := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help env evidence evidence-check findings test test-thorough test-clone test-faults test-kills coverage test-versions test-slurm test-sanitizers golden lint format docs site package release-notes bench lock image

help: ## Show this list
	@echo "make TARGET [STUDY=quickstart] [SCALE=auto|full|reduced] [CORES=all]"
	sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 18

env: $(ENV) ## Make or update the environment in .venv; CPU=1 without CUDA, CPU=0 with it

$(ENV): requirements.lock pyproject.toml
	@for candidate in $(PYTHON) python3.11 python3.12 python3.13 python3; do
		if "$$candidate" -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2> /dev/null; then
			python=$$candidate
			break
		fi
	done
	if [ -z "$${python-}" ]; then
		echo "error: found no Python 3.11 to 3.13 with venv." >&2
		echo "On Debian or Ubuntu: sudo apt-get install python3 python3-venv. Or name one: make $(MAKECMDGOALS) PYTHON=..." >&2
		exit 1
	fi
	"$$python" -m venv .venv
	pip() { .venv/bin/python -m pip --quiet --disable-pip-version-check "$$@"; }
	pair=$$(sed -n -E 's/^(torch|torchvision)==([^ ]+).*/\1==\2+cpu/p' requirements.lock)
	# The builds for CPUs are only on an index of PyTorch's own, which a machine may not reach.
	if [ "$(CPU)" = 1 ] && pip download --retries 1 --no-deps --dest .venv/cpu --index-url "$(CPU_INDEX)" $$pair 2> /dev/null; then
		echo "Making the environment in .venv with $$python, without CUDA: about 2 GB, a minute or two."
		awk '/^[^ ]/ {gpu = /^(torch|torchvision|triton|nvidia-.*|cuda-.*)==/} !gpu' requirements.lock > .venv/requirements.txt
		pip install --no-deps .venv/cpu/*.whl
		pip install --no-deps --require-hashes -r .venv/requirements.txt
		rm -r .venv/cpu
	else
		[ "$(CPU)" = 0 ] || echo "Found no build of PyTorch for CPUs in $(CPU_INDEX); taking the one with CUDA."
		echo "Making the environment in .venv with $$python: about 6 GB, some minutes."
		pip install --require-hashes -r requirements.lock
	fi
	pip install --no-deps --editable .
	touch $@

include workflow/studies.mk

evidence: $(ENV) ## Copy tables and figures of a finished study or paper to docs/findings
	@$(studies)
	folder=docs/findings
	[[ $$studies != *' '* ]] || folder+=/$(STUDY)
	for study in $$studies; do
		if [ ! -e "$$(gengap path verdicts "$$study")" ]; then
			echo "error: $$(gengap path results "$$study") is not finished: make run STUDY=$(STUDY) SCALE=$(SCALE) makes it." >&2
			exit 1
		fi
	done
	shopt -s nullglob
	for study in $$studies; do
		rm -rf "$$folder/$$study" && mkdir -p "$$folder/$$study"
		figures=$$(gengap path figures "$$study") tables=$$(gengap path tables "$$study")
		cp "$$figures"/*.csv "$$figures"/page/*.png "$$folder/$$study"
		cp "$$(gengap path verdicts "$$study")" "$$tables"/*.csv "$$folder/$$study" # the table of a figure's name says more
		[ "$$(wc -l < "$$folder/$$study/verdicts.csv")" -gt 1 ] || rm "$$folder/$$study/verdicts.csv" # nothing was published
		echo "Copied tables and figures to $$folder/$$study"
	done

evidence-check: $(ENV) ## Redraw docs/findings from the exports kept there, and compare
	@gengap evidence

findings: $(ENV) ## Check that every measured number in docs/findings is in the evidence
	@gengap findings

test: $(ENV) ## Run the tests
	@pytest $(WORKERS)

test-thorough: $(ENV) ## Run the tests that `make test` leaves out for their length: kills, failing calls, edits, compilers
	@pytest $(WORKERS) -m "$(THOROUGH)"

test-clone: $(ENV) ## Test clones and interrupted runs with real git, DVC and Snakemake
	@pytest -m clone tests/clone

coverage: $(ENV) ## Measure which lines and branches of storing, locking, resuming and versioning the tests reach
	@mkdir -p build/coverage && rm -f build/coverage/*
	FAULTS=2 coverage run -m pytest -m "$(HERE)" $(COVERING)
	find build/coverage -empty -delete # of processes that were killed as they wrote
	coverage combine --quiet
	coverage report
	coverage report --fail-under=100 --include="$(COVERED)" > /dev/null

# A few tests stand for all, since five environments are tested: one whole run of a study with its records, which names
# of files and jobs rely on; everything that relies on Snakemake's internals; training, and every model in packs.
SNAKEMAKE_TESTS := tests/workflow/test_jobs.py tests/snakemake_support
TRAINING_TESTS := tests/workflow/test_jobs.py tests/training/test_loop.py tests/models

test-versions: $(ENV) ## Test every supported version of Python, Snakemake and PyTorch; installs up to 20 GB
	@tests/versions.sh snakemake==9.14.0 -- $(SNAKEMAKE_TESTS)
	tests/versions.sh "snakemake<9.28" -- $(SNAKEMAKE_TESTS)
	tests/versions.sh torch==2.8.0 torchvision==0.23.0 -- $(TRAINING_TESTS)
	own=$$(python -c 'import sys; print("{}.{}".format(*sys.version_info))') # `make test` runs with it
	for version in 3.11 3.12 3.13; do
		if [ "$$version" = "$$own" ]; then
			continue
		elif "python$$version" -c "" 2> /dev/null; then
			tests/versions.sh --python "python$$version" -- $(TRAINING_TESTS)
		else
			echo "not tested: python$$version is not installed" >&2
		fi
	done

test-faults: $(ENV) ## Let every call on files fail once, from raw data to figures; some hours
	@pytest -n 2 -m "faults or not kills" tests/faults

test-kills: $(ENV) ## Kill jobs, runs of Snakemake, `dvc repro` and jobs of Slurm 100 times
	@KILLS=80 pytest -m thorough tests/faults/test_kills.py
	pytest -m kills tests/faults tests/clone tests/cluster

test-slurm: $(ENV) ## Test with real Slurm daemons on this machine; installs Slurm if it may
	@tests/cluster/install.sh
	pytest -m slurm tests/cluster

test-sanitizers: $(ENV) ## Test the C++ kernels under AddressSanitizer and UndefinedBehaviorSanitizer
	@tests/engine/cpu/sanitizers.sh

golden: $(ENV) ## Rewrite the golden numbers, after a constant of versions.py was raised
	@python tests/golden/write_golden.py

lint: $(ENV) ## Check style, types and the workflow's rules
	@ruff check .
	ruff format --check .
	mypy
	snakefmt --check .
	snakemake --lint

format: $(ENV) ## Format all code
	@ruff check --fix .
	ruff format .
	snakefmt .

docs: $(ENV) ## Write every generated page of docs/, and missing pictures
	@python -m gengap.reference_docs

site: $(ENV) ## Build the documentation as a site with search, in build/site
	@NO_MKDOCS_2_WARNING=1 mkdocs build --quiet
	echo "Built build/site/index.html. Its search needs a server: python3 -m http.server --directory build/site"

package: $(ENV) ## Build the wheel and the source distribution in build/package, the wheel from the latter
	@rm -rf build/package && mkdir -p build/package
	python -c "from setuptools import build_meta as build; build.build_sdist('build/package')" > /dev/null
	pip wheel --quiet --no-deps --wheel-dir build/package build/package/*.tar.gz
	ls build/package

release-notes: ## Print the section of CHANGELOG.md on VERSION
	@sed -n '/^## $(VERSION)\b/,/^## /{/^## /!p}' CHANGELOG.md | grep . || { echo "error: CHANGELOG.md has no section '## $(VERSION)'." >&2; exit 1; }

bench: $(ENV) ## Benchmark packs against plain PyTorch on this CPU
	@python -m bench.cpu

# uv keeps the versions of the present file as long as pyproject.toml allows them; UPGRADE=1 takes the newest.
lock: ## Write requirements.lock: every version with its digests, for each supported Python
	@python3 -m venv build/uv && build/uv/bin/pip install --quiet --disable-pip-version-check uv
	build/uv/bin/uv pip compile --quiet pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header $(if $(UPGRADE),--upgrade) --output-file requirements.lock

image: ## Build container/gengap.sif with Apptainer, from requirements.lock
	@apptainer build --force container/gengap.sif container/gengap.def
