#!/bin/bash
# Run the tests of the workflow with another version of a library: tests/versions.sh snakemake==9.14.0
# What is named is installed in an environment of its own below .versions, with what it needs. Everything else, and the
# Python, is that of .venv: make takes the oldest Python that pyproject.toml claims if it is there.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(realpath -s .venv)/bin/python
environment=.versions/$(tr ' <>' '___' <<< "$*")
if [ ! -e "$environment/.stamp" ]; then
	rm -rf "$environment"
	"$python" -m venv "$environment"
	"$environment/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
	# What was just installed comes first, since .pth files add to the end of the path.
	"$python" -c 'import site; print(site.getsitepackages()[0])' > "$("$environment/bin/python" -c 'import site; print(site.getsitepackages()[0])')/rest.pth"
	touch "$environment/.stamp"
fi

"$environment/bin/python" - << 'END'
import platform
from importlib.metadata import version
print("Python", platform.python_version(), *(f"{name} {version(name)}" for name in ("snakemake", "torch", "torchvision")))
END
PYTHONPATH=$PWD/src "$environment/bin/python" -m pytest -q ${TESTS-tests/workflow tests/snakemake_support}
