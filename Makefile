# Every target first makes the environment in .venv if it is missing or requirements.lock has changed.
STUDY ?= quickstart
SCALE ?= auto
CORES ?= all
PYTHON ?=

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.venv/bin:$(PATH)
ENV := .venv/.stamp

# Snakemake asks for a name and a home, which a user in a container, who is a number only, may lack.
ifeq ($(shell getent passwd "$$(id -u)"),)
export USER := $(or $(USER),user$(shell id -u))
export HOME := $(or $(HOME),$(CURDIR)/.gengap/home)
endif

# Tests of storing, locking, the store, resuming and versions, and the files that they reach all of.
COVERING := tests/files tests/snakemake_support tests/faults tests/test_storage.py tests/test_cell_locks.py tests/test_full_disk.py \
	tests/test_timings.py tests/test_clean.py tests/test_explain.py tests/training/test_cell_store.py tests/training/test_crash.py \
	tests/workflow/test_legacy_names.py tests/workflow/test_old_results.py tests/workflow/test_interrupts.py tests/workflow/test_fsck.py
COVERED := */files/storage.py,*/files/hdf5.py,*/files/hdf5_output.py,*/files/file_digest.py,*/files/cell_locks.py,*/training/cell_store.py

.PHONY: help env run report evidence evidence-check findings plan repro push pull test test-clone test-faults test-kills coverage test-versions test-slurm test-sanitizers golden lint format docs site bench lock

help: ## This list
	@echo "make TARGET [STUDY=quickstart] [SCALE=auto|full|reduced] [CORES=all]"
	sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' Makefile | expand -t 12

env: $(ENV) ## Make or update the environment in .venv

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
	echo "Making the environment in .venv with $$python: about 6 GB, some minutes."
	"$$python" -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# The studies of STUDY on this machine, and the path of their report; that of one study lies beside its results.
define studies
studies=$$(gengap scale "$(STUDY)" "$(SCALE)")
[[ $$studies == *' '* ]] && report=$$(gengap path report "$(STUDY)") || report=$$(gengap path report "$$studies")
folders=$$(for study in $$studies; do gengap path results "$$study"; done)
# What a report shows, and not when it was written: the last line of the report has the digest.
shown() { find -L $$folders workflow/report .gengap/captions -type f -not -path '*/packs/*' -not -path '*/points/*' -not -path '*/logs/*' -not -name report.html -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-64; }
make_report() { gengap report $$studies --to "$$report" && echo "<!-- $$(shown) -->" >> "$$report"; }
endef

run: $(ENV) ## Run a study, or all studies of a paper, up to the report
	@$(studies)
	gengap plan $$studies
	snakemake --cores $(CORES) $$studies
	if ! tail -n 1 "$$report" 2> /dev/null | grep -q -F "$$(shown)"; then make_report; fi
	echo
	gengap summary $$studies

report: $(ENV) ## Write the HTML report of a finished study or paper
	@$(studies)
	make_report

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
		cp "$$(gengap path verdicts "$$study")" "$$tables"/*.csv "$$figures"/*.csv "$$figures"/page/*.png "$$folder/$$study"
		[ "$$(wc -l < "$$folder/$$study/verdicts.csv")" -gt 1 ] || rm "$$folder/$$study/verdicts.csv" # nothing was published
		echo "Copied tables and figures to $$folder/$$study"
	done

evidence-check: $(ENV) ## Redraw docs/findings from the exports kept there, and compare
	@gengap evidence

findings: $(ENV) ## Check that every measured number in docs/findings is in the evidence
	@gengap findings

plan: $(ENV) ## Predict time and memory of a study or paper
	@$(studies)
	gengap plan $$studies

repro: $(ENV) ## Run all studies of config/config.yaml through DVC
	@dvc repro
	sync # DVC does not wait for the disk, and takes an object of its cache for whole after a loss of power

push: $(ENV) ## Send the files that dvc.lock names to DVC's remote
	@dvc push
	if [ -n "$$(git status --porcelain dvc.lock metrics)" ]; then
		echo "Next, commit the digests: git add dvc.lock metrics && git commit -m \"Results\" && git push"
	fi

pull: $(ENV) ## Get results and their records from DVC's remote
	@if [ ! -e dvc.lock ]; then
		echo "error: there is no dvc.lock: no results were versioned yet. Run \`make repro\`, then \`make push\`." >&2
		exit 1
	fi
	dvc pull
	sync

test: $(ENV) ## Run the tests
	@pytest -n 2 --dist loadfile --no-loadscope-reorder

test-clone: $(ENV) ## Test clones and interrupted runs with real git, DVC and Snakemake
	@pytest -m clone tests/clone

coverage: $(ENV) ## Measure which lines and branches of storing, locking, resuming and versioning the tests reach
	@mkdir -p build/coverage && rm -f build/coverage/*
	coverage run -m pytest $(COVERING)
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
	@KILLS=80 pytest tests/faults/test_kills.py
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
	echo "Built build/site/index.html"

bench: $(ENV) ## Benchmark packs against plain PyTorch on this CPU
	@python -m bench.cpu

# CUDA's libraries are only for Linux on x86-64, as PyTorch's own requirements say.
lock: ## Write requirements.lock from the present environment
	@.venv/bin/python -m pip freeze --exclude-editable \
		| sed -E 's/^(nvidia-|cuda-|triton)(.*)$$/\1\2; sys_platform == "linux" and platform_machine == "x86_64"/' \
		> requirements.lock
