#!/usr/bin/env bash
# Makes results-COMMIT.tar.xz: a study and a simulation, run by an older version of this project.
# Usage: tests/old_results/make.sh COMMIT, in an environment with that version's dependencies.
set -euo pipefail
commit=$1
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
git -C "$here/../.." archive "$commit" | tar -x -C "$folder"
cd "$folder"
rm config/studies/*.yaml config/simulations/*.yaml config/reference/*
cp "$here"/config/studies/*.yaml config/studies
cp "$here"/config/simulations/*.yaml config/simulations
echo '{}' > config/papers.yaml
sed -i 's/^studies:.*/studies: [kept]/; s/^simulations:.*/simulations: [kept_draws]/' config/config.yaml
PYTHONPATH=$folder/src snakemake --cores 2
tar -cJf "$here/results-${commit:0:7}.tar.xz" --exclude='*.log' --exclude='*.pdf' --exclude='*.png' \
    results data .gengap/store .snakemake/metadata
