"""Arrays of one quantity whose networks have different shapes, as those of packs with different saved epochs."""

import torch

from gengap.files import arrays, storage
from gengap.probes.context import Measurement
from gengap.probes.results import ProbeResults
from gengap.studies.study import Probe


def test_networks_of_different_shapes_are_kept_apart(tmp_path):
    findings = ProbeResults(Probe(name="layer_reset"))
    for name, values in (("a", [[0.0, 1.0]]), ("b", [[0.0, 1.0, 2.0]]), ("c", [[0.0, 5.0]])):
        findings.add([Measurement("reset_epoch", torch.tensor(values), dims=("epoch",))], [name], [5.0])
    findings.write(tmp_path / "probe.h5", {})
    with storage.reading(tmp_path / "probe.h5", "probe") as file:
        found = [(list(one.rows["cell"]), one.values.tolist()) for one in arrays.read(file, "reset_epoch")]
    assert found == [(["a", "c"], [[0, 1], [0, 5]]), (["b"], [[0, 1, 2]])]
