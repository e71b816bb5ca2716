#!/usr/bin/env bash
# Makes results-COMMIT.tar.xz: two studies and a simulation, run to the end by the code of a commit.
# The archive in this folder is of bd659a8, the last commit before modules moved into rooms:
#     tests/old_results/make.sh bd659a8
# Needs an environment with the dependencies of that commit; takes some minutes.
set -euo pipefail
commit=$(git rev-parse --short=7 "${1:?usage: tests/old_results/make.sh COMMIT}")
date=$(git show --no-patch --format=%cI "$commit")
here=$(cd "$(dirname "$0")" && pwd)
project=$(mktemp -d)
trap 'rm -rf "$project"' EXIT
git -C "$here/../.." archive "$commit" | tar -x -C "$project"
cd "$project"
rm config/studies/*.yaml config/simulations/*.yaml
cp "$here"/config/studies/*.yaml config/studies
cp "$here"/config/simulations/*.yaml config/simulations
echo '{}' > config/papers.yaml # which names studies that are not here
sed -i 's/^studies:.*/studies: [kept, kept_classes]/; s/^simulations:.*/simulations: [kept_draws]/; s/^device:.*/device: cpu/' \
    config/config.yaml
PYTHONPATH=$project/src OMP_NUM_THREADS=1 snakemake --cores 1
# Files are as old as the commit. (Of time 0, Snakemake would take every file for up to date.)
tar --create --xz --file "$here/results-$commit.tar.xz" --sort=name --mtime="$date" --owner=0 --group=0 --numeric-owner \
    --exclude=logs config/config.yaml config/studies config/simulations data/prepared data/labelled results \
    .gengap/store .snakemake/metadata
