#!/bin/bash
# Run tests with another version of a library or another Python, in an environment of its own below .versions.
#
#   tests/versions.sh snakemake==9.14.0 -- tests/workflow       these packages; everything else and the Python as in .venv
#   tests/versions.sh --python python3.13 -- tests/workflow     another Python, with all of requirements.lock: about 6 GB
#
# An environment is kept, so that a second run installs nothing: rm -rf .versions frees the disk.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(realpath -s .venv)/bin/python
packages=() other_python=
while [ "$1" != -- ]; do
	if [ "$1" = --python ]; then
		other_python=$2
		shift
	else
		packages+=("$1")
	fi
	shift
done
shift

environment=.versions/$(tr ' <>' '___' <<< "${other_python:+$(basename "$other_python")} ${packages[*]}" | tr -s _ | sed 's/^_//; s/_$//')
install() { "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
if [ ! -e "$environment/.stamp" ] || [ requirements.lock -nt "$environment/.stamp" ]; then
	rm -rf "$environment"
	"${other_python:-$python}" -m venv "$environment"
	if [ -n "$other_python" ]; then
		install --require-hashes -r requirements.lock
		[ ${#packages[@]} = 0 ] || install "${packages[@]}"
	else
		install "${packages[@]}"
		# What was just installed comes first, since .pth files add to the end of the path.
		"$python" -c 'import site; print(site.getsitepackages()[0])' > "$("$environment/bin/python" -c 'import site; print(site.getsitepackages()[0])')/rest.pth"
	fi
	touch "$environment/.stamp"
fi

export PATH=$PWD/$environment/bin:$PATH PYTHONPATH=$PWD/src GENGAP_TEST_COLD=1
python - << 'END_OF_PYTHON'
import platform
from importlib.metadata import version
print("Python", platform.python_version(), *(f"{name} {version(name)}" for name in ("snakemake", "torch", "torchvision")))
END_OF_PYTHON
python -m pytest -q "$@"
