"""The golden run: results are those that were stored, or the constant that says so was raised.

After a change that is meant to alter numbers, raise the named constant in ``gengap/versions.py``, and run
``make golden``.
"""

import json

import pytest
from golden_run import CONSTANTS, FILE, compute, differences, numbers_of_versions

REMEDY = "raise it if the change is meant, and run `make golden`"
STORED = json.loads(FILE.read_text())


def tolerance(name: str) -> float:
    """How far a number may be off: another processor rounds differently, and training in float32 lets that grow."""
    return 1e-2 if "float32" in name else 1e-5


def problems(stored, found, constants):
    """Every kind that differs, as the sentence of its failure."""
    told = []
    for kind, constant in CONSTANTS.items():
        changed = [
            line
            for name, value in stored[kind].items()
            for line in differences({name: value}, found[kind], tolerance(name))
        ]
        if stored["versions"][constant] != constants[constant]:
            told.append(f"{constant} was raised, and the golden numbers of {kind} are those before: run `make golden`")
        elif changed:
            told.append(f"{len(changed)} numbers of {kind} changed, e.g. {changed[0]}; versions.{constant}: {REMEDY}")
    return told


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return compute(tmp_path_factory.mktemp("golden"))


def test_results_are_the_stored_ones(found):
    assert problems(STORED, found, numbers_of_versions()) == []


@pytest.mark.parametrize("kind", CONSTANTS)
def test_one_changed_number_names_its_constant(kind):
    changed = {name: dict(STORED[name]) for name in CONSTANTS}
    name = next(name for name, value in changed[kind].items() if isinstance(value, float) and "float32" not in name)
    changed[kind][name] = changed[kind][name] * 1.001 + 0.001
    (told,) = problems(STORED, changed, STORED["versions"])
    assert told.startswith(f"1 numbers of {kind} changed, e.g. {name}: ")
    assert f"versions.{CONSTANTS[kind]}: " in told


def test_a_raised_constant_asks_for_new_numbers():
    raised = STORED["versions"] | {"PROBES": STORED["versions"]["PROBES"] + 1}
    assert problems(STORED, STORED, raised) == [
        "PROBES was raised, and the golden numbers of probes are those before: run `make golden`"
    ]


def test_a_part_without_golden_numbers_is_no_failure():
    more = {kind: {**STORED[kind], "new part value": 1.0} for kind in CONSTANTS}
    assert problems(STORED, more, STORED["versions"]) == []


def test_a_number_that_is_gone_is_one():
    name = next(iter(STORED["data"]))
    less = {kind: {key: value for key, value in STORED[kind].items() if key != name} for kind in CONSTANTS}
    (told,) = problems(STORED, less, STORED["versions"])
    assert f"{name}: {STORED['data'][name]} before, missing now" in told
