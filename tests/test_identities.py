"""What names stored results must stay as it is: else every user's networks would be trained again.

A digest changes with a study's own file too; then put in the new one. If no study was edited, a default or the name of
a setting has changed: give that back, or say in the CHANGELOG which results are lost.
The study `every_probe` is left out: a new probe changes it, and loses nothing.
"""

import hashlib
import json
from pathlib import Path

import pytest

from gengap.studies.names import REDUCED
from gengap.studies.packing import probe_from, probe_settings
from gengap.studies.simulation import load_simulation, point_settings
from gengap.studies.study import Probe, load_study

CONFIG = Path(__file__).parent.parent / "config"
DIGESTS = json.loads((Path(__file__).parent / "support/identities.json").read_text(encoding="utf-8"))


def digest(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def identities(name):
    """What a study's jobs depend on: cells, probes (as Snakemake prints them), points."""
    plain, reduced = name.removesuffix(REDUCED), name.endswith(REDUCED)
    if (path := CONFIG / f"simulations/{plain}.yaml").exists():
        points = load_simulation(path, reduced=reduced).points.values()
        return sorted(json.dumps(point_settings(point), sort_keys=True) for point in points)
    study = load_study(CONFIG / f"studies/{plain}.yaml", reduced=reduced)
    cells = sorted(json.dumps(cell.identity(), sort_keys=True) for cell in study.cells.values())
    return [cells, sorted(repr(probe_settings(probe)) for probe in study.probes)]


@pytest.mark.parametrize("name", DIGESTS)
def test_identities_are_those_of_stored_results(name):
    assert digest(identities(name)) == DIGESTS[name]


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "performance"},
        {"name": "near_rank", "draws": 1, "control_size": 3},
        {"name": "path", "from_epoch": 1.0, "points": 7, "epochs": (1.0, 2.0)},
        {"name": "sharpness", "draws": 3, "iterations": 2, "samples": 10, "batchnorm": "batch"},
    ],
)
def test_a_probes_record_can_be_read_back(settings):
    probe = Probe.model_validate(settings)
    assert probe_from(json.loads(json.dumps(probe_settings(probe)))) == probe
