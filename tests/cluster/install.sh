#!/usr/bin/env bash
# What test-slurm needs: Snakemake's plugin, and where the superuser may, Slurm. Without Slurm the tests are skipped.
set -euo pipefail
cd "$(dirname "$0")/../.."
.venv/bin/python -c 'import snakemake_executor_plugin_slurm' 2> /dev/null ||
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[cluster]'
have() { PATH=$PATH:/usr/sbin:/sbin command -v slurmctld slurmd munged > /dev/null; }
if ! have && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "Installing Slurm."
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -qq --yes --no-install-recommends slurm-wlm munge; } > /dev/null || true
fi
have || echo "SKIPPED: Slurm is not installed (apt-get install slurm-wlm munge), so NOTHING OF THE CLUSTER IS TESTED." >&2
