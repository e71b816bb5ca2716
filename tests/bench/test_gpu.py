"""The GPU benchmark at toy size, on any machine: its rows have the common form, and it needs little beside PyTorch."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench import gpu, large_networks, limits, peers, rows
from gengap import models
from gengap.studies.settings import Model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def toy():
    torch.set_num_threads(1)
    return [row for _, found in gpu.main(toy=True, repeats=1) for row in found]


@pytest.mark.thorough
def test_every_case_has_a_row_per_peer(toy):
    expected = ["width=4,batch_size=8,pack=2"] * 5 + ["width=4,batch_size=8,pack=2,step=uncompiled"]
    for network in large_networks.NETWORKS:
        expected += [f"{network},batch_size=8"] * 6 + [f"{network},batch_size=8,pack=4"] * 3
    assert [row.case.partition("/")[2] for row in toy] == expected
    assert len({(row.case, row.peer) for row in toy}) == len(toy)
    assert sum(row.peer.startswith("limit of the chip: ") for row in toy) == 4
    assert {row.unit for row in toy} == {"samples/s"}


@pytest.mark.thorough
def test_only_the_named_cases_run_and_others_keep_their_rows(toy):
    found = [row for _, rows in gpu.main(toy=True, repeats=1, parts=("packs",), only="width=5") for row in rows]
    assert found == []
    again = [dataclasses.replace(row, ours=1.0) for row in toy if row.case == "toy/wrn-16-4,batch_size=8"]
    merged = rows.joined(toy, again)
    assert sorted((row.case, row.peer) for row in merged) == sorted((row.case, row.peer) for row in toy)
    assert sum(row.ours == 1.0 for row in merged) == len(again)


@pytest.mark.thorough
def test_rows_have_the_form_of_the_processors(toy):
    stored = json.loads((ROOT / "bench/results/cpu.json").read_text())
    for row in toy:
        content = json.loads(json.dumps(dataclasses.asdict(row)))
        assert {key: type(value) for key, value in content.items()} == {k: type(v) for k, v in stored[0].items()}
        assert row.ratio_low <= row.ratio <= row.ratio_high
        assert row.hardware
    assert rows.show(toy).count("\n") == len(toy) + 1


def test_operations_are_two_per_multiplication_and_thrice_for_training():
    """A linear network of 3,072 inputs: products forward and for the weights, none for the images' own gradient."""
    net = models.build(Model(name="mlp", width=5, depth=1), (3, 32, 32), 10).to("meta")
    asked = limits.demand(net, (3, 32, 32))
    assert asked.operations == 2 * (2 * 3072 * 5 + 3 * 5 * 10)
    assert asked.map_elements == 3072 + 5 + 10


def test_the_limit_is_that_of_what_binds():
    """No arithmetic at all is bound by memory, and hardly any maps by arithmetic."""
    names = [
        limits.limit(asked, "cpu", torch.float32, toy=True)[0]
        for asked in (limits.Demand(1, 1e9), limits.Demand(1e9, 1))
    ]
    assert names == ["limit of the chip: memory (float32)", "limit of the chip: arithmetic (float32)"]
    rate = limits.limit(limits.Demand(1e6, 1), "cpu", torch.float32, toy=True)[1]()
    assert 0 < rate < 1e9


def test_the_peers_augmentation_shifts_and_mirrors():
    image = torch.arange(1.0, 1 + 3 * 6 * 6).view(1, 3, 6, 6)
    seen = [peers.Augmented(image, torch.tensor([1]))[0] for _ in range(50)]
    assert {tuple(one.shape) for one, _ in seen} == {(3, 6, 6)}
    assert {label.item() for _, label in seen} == {1}
    assert len({tuple(one.flatten().tolist()) for one, _ in seen}) > 20


@pytest.mark.thorough
def test_without_a_gpu_it_says_so():
    done = subprocess.run(
        [sys.executable, "-m", "bench.gpu"],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.strip().startswith("PyTorch finds no GPU")


def test_it_imports_nothing_that_training_does_not_need():
    code = "import sys, bench.gpu; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert not {"snakemake", "dvc", "curvlinops", "scipy", "matplotlib", "sklearn"} & set(done.stdout.split())
