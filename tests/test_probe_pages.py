"""The page of the probes is what the code writes, and names exactly what each probe measures."""

import dataclasses
from pathlib import Path

import pytest
import subjects

from gengap import registry
from gengap.engine.stack import take
from gengap.probes.context import Teacher
from gengap.reference_docs import probe_pages

PAGE = Path(__file__).parent.parent / "docs" / "probes.md"
PROBES = sorted(registry.REGISTRY["probe"])


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == probe_pages.markdown(), "run: make docs"


# What a probe measures only if it is asked to.
ASKED_FOR = {"sharpness": {"to_convergence": 1, "rescaling": 0.5}}


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_measures_what_its_page_says(name):
    mode = registry.check("probe", name).batchnorm[-1]
    settings = {"training": {"batch_size": 6}}
    made = subjects.subject(
        {"name": name, "batchnorm": mode, **ASKED_FOR.get(name, {})}, settings, seeds=(0,), n_train=12, n_test=6
    )
    further = dict.fromkeys(("clean", "patch_only"), (made.test_images, made.test_targets))
    teacher = Teacher(made.arch, take(made.saved(1.0), [0]))
    made = dataclasses.replace(made, teacher=teacher, test_labels=made.test_targets, test_sets=further)
    measured = {one.quantity for one in registry.load("probe", name).measure(made)}
    assert measured == set(registry.check("probe", name).measured)


def test_a_page_has_formula_table_modes_and_source():
    page = probe_pages.markdown().split("## `gradient_noise`")[1].split("\n## ")[0]
    assert "`tr(Sigma) = sum_i |g_i - g|^2 / (N - 1)`" in page
    assert r"| `gradient_noise_scale` | $\mathrm{tr}\,\Sigma/\|G\|^2$ | samples | Batch size" in page
    assert "- BatchNorm modes: `running`, `exact`" in page
    assert "- Options: `epochs`, `batchnorm`, `samples`" in page
    assert "- Cost: every sample's gradient once" in page
    assert "- Source: McCandlish" in page
    assert "Args" not in page
