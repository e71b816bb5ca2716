"""The golden run: results are those that were stored, or the constant that says so was raised.

After a change that is meant to alter numbers, raise the named constant in ``src/gengap/versions.py``, and run
``make golden``. A part that is new has no golden numbers until then, and is no failure.
"""

import json

import numpy as np
import pytest
from golden_run import CONSTANTS, FILE, compute, compute_raw, differences, probes_with, versions_now
from write_golden import seals

from gengap.counting import count
from gengap.datasets import cifar10

REMEDY = "raise it in src/gengap/versions.py if the change is meant, and run `make golden`"
STORED = json.loads(FILE.read_text())


def problems(stored, found, constants):
    """Every kind that differs, as the sentence of its failure."""
    told = []
    for kind, constant in CONSTANTS.items():
        changed = list(differences(stored[kind], found[kind]).values())
        if stored["versions"][constant] != constants[constant]:
            told.append(f"{constant} was raised, and the golden numbers of {kind} are those before: run `make golden`")
        elif changed:
            number = count(len(changed), "number")
            told.append(f"{number} of {kind} changed, e.g. {changed[0]}; versions.{constant}: {REMEDY}")
    return told


def raw_problems(stored, found):
    """As `problems`, of the raw datasets that are there."""
    told = []
    for name in stored.keys() & found.keys():
        changed = list(differences(stored[name], found[name]).values())
        if changed:
            number = count(len(changed), "number")
            told.append(f"{number} of {name} changed, e.g. {changed[0]}; versions.DATA: {REMEDY}")
    return told


@pytest.mark.long
def test_results_are_the_stored_ones(tmp_path):
    found = compute(tmp_path, probes_with(STORED["probes"]))
    assert problems(STORED, found, versions_now()) == []


@pytest.mark.thorough
@pytest.mark.data
@pytest.mark.usefixtures("decoded_once")
def test_raw_datasets_are_prepared_as_stored(tmp_path, monkeypatch):
    """And the JPEG archive is CIFAR-10; its 60,000 files are read once for both."""
    read_jpeg, decoded = cifar10.read_jpeg, []
    monkeypatch.setattr(cifar10, "read_jpeg", lambda path: decoded.append(read_jpeg(path)) or decoded[0])
    found = compute_raw(tmp_path)
    if not found.keys() & STORED["raw data"].keys():
        pytest.skip("no dataset with golden numbers: set GENGAP_DATA_ROOT to a folder that has one")
    assert raw_problems(STORED["raw data"], found) == []
    assert len(decoded) == ("cifar10 jpeg" in found)
    for raw in decoded:
        assert raw.train_images.shape == (50_000, 3, 32, 32)
        assert np.bincount(raw.train_labels).tolist() == [5_000] * 10
        assert np.bincount(raw.test_labels).tolist() == [1_000] * 10
        # Published statistics of the original training images; compression moves them by less than 0.1 levels of 255.
        assert raw.train_images.mean((0, 2, 3)) == pytest.approx([125.3, 123.0, 113.9], abs=0.15)
        assert raw.train_images.std((0, 2, 3)) == pytest.approx([63.0, 62.1, 66.7], abs=0.5)


def test_nobody_edited_the_golden_numbers():
    """`make golden` refuses changed numbers of an unchanged constant; a hand might not."""
    assert STORED["seals"] == seals(STORED), "golden.json was edited by hand: restore it, and run `make golden`"


@pytest.mark.parametrize("kind", CONSTANTS)
def test_an_edited_number_or_version_breaks_the_seal(kind):
    edited = json.loads(FILE.read_text())
    name = next(iter(edited[kind]))
    edited[kind][name] += 1
    assert {broken for broken, seal in seals(edited).items() if seal != STORED["seals"][broken]} == {kind}
    edited = json.loads(FILE.read_text())
    edited["versions"][CONSTANTS[kind]] += 1
    assert kind in {broken for broken, seal in seals(edited).items() if seal != STORED["seals"][broken]}


@pytest.mark.parametrize("kind", CONSTANTS)
def test_one_changed_number_names_its_constant(kind):
    changed = {name: dict(STORED[name]) for name in CONSTANTS}
    name = next(name for name, value in changed[kind].items() if isinstance(value, float) and "float32" not in name)
    changed[kind][name] = changed[kind][name] * 1.001 + 0.001
    (told,) = problems(STORED, changed, STORED["versions"])
    assert told.startswith(f"1 number of {kind} changed, e.g. {name}: ")
    assert f"versions.{CONSTANTS[kind]}: " in told


def test_one_changed_pixel_or_label_of_a_raw_dataset_names_data():
    for name, numbers in STORED["raw data"].items():
        for key in ("train images norm", "train labels digest"):
            changed = numbers | {key: numbers[key] * 1.001 if isinstance(numbers[key], float) else "another"}
            (told,) = raw_problems(STORED["raw data"], {name: changed})
            assert told.startswith(f"1 number of {name} changed, e.g. {key}: ")
            assert "versions.DATA: " in told


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
