import numpy as np
import pytest
import torch
from torch import nn

from gengap import losses, models, probes
from gengap.engine import weights
from gengap.errors import UserError
from gengap.files import storage
from gengap.labels import distinct_teacher, label, read
from gengap.labels.pool import read_pool
from gengap.studies.settings import Cell, Labels, Loss
from gengap.studies.study import Probe, load_study
from gengap.training import RunOptions, train_pack
from gengap.training.data_order import order

TEACHER = Labels(name="distinct_teacher", teacher_width=6, teacher_depth=2, teacher_outputs=5, train_size=300)
DISTILLATION = Loss(name="distillation")


@pytest.mark.parametrize("layer", [nn.Linear(7, 40), nn.Conv2d(2, 30, 3)], ids=["linear", "convolution"])
def test_weights_are_different_rows_of_the_set_over_their_norms(layer):
    network = nn.Sequential(layer).double()
    distinct_teacher.draw(network, torch.Generator().manual_seed(1))
    weight, bias = (parameter.detach().flatten(1 if parameter.dim() > 1 else 0) for parameter in layer.parameters())
    rows = distinct_teacher._rows(*weight.shape, torch.Generator().manual_seed(1))
    assert set(rows.unique().tolist()) == set(distinct_teacher.VALUES)
    assert len({tuple(row) for row in rows.tolist()}) == len(rows)
    assert rows.any(dim=1).all()
    norms = rows.square().sum(dim=1).sqrt()
    torch.testing.assert_close(weight, rows / norms[:, None], rtol=1e-14, atol=0)
    drawn = bias * norms
    assert drawn.abs().max() < 0.5
    assert drawn.std().item() == pytest.approx(12**-0.5, rel=0.3)


def test_all_rows_there_are():
    """One input has four rows that are not zero; five are refused, and four are all different."""
    drawn = distinct_teacher._rows(4, 1, torch.Generator().manual_seed(0))
    assert sorted(drawn[:, 0].tolist()) == [-0.5, -0.25, 0.25, 0.5]
    with pytest.raises(UserError, match=r"labels\.teacher_width: layer 'layer'.*has 5 nodes.*only 4 different"):
        distinct_teacher._check_rows("layer", 5, 1)


def test_values_are_equally_likely():
    rows = distinct_teacher._rows(2000, 20, torch.Generator().manual_seed(0))
    shares = np.array([(rows == value).double().mean().item() for value in distinct_teacher.VALUES])
    assert shares == pytest.approx(0.2, abs=5 * (0.16 / rows.numel()) ** 0.5)


@pytest.mark.parametrize("n_outputs", [1, 5])
def test_labels_are_what_the_stored_teacher_says(gaussian, tmp_path, n_outputs):
    label(TEACHER.model_copy(update={"teacher_outputs": n_outputs}), gaussian, tmp_path / "l.h5")
    data = read(gaussian, tmp_path / "l.h5")
    network = models.build(data.teacher.model, (3, 8, 8), n_outputs).double()
    network.load_state_dict(dict(data.teacher.state))
    with torch.no_grad():
        f = network(data.test_images.double())
    torch.testing.assert_close(data.teacher.test_outputs, f.float())
    assert torch.equal(data.test_labels, f[:, 0].sign().long() if n_outputs == 1 else f.argmax(dim=1))
    assert (len(data.train_images), len(data.test_images)) == (300, 500)
    assert data.n_classes == max(n_outputs, 2)
    assert losses.n_outputs(DISTILLATION, data.n_classes) == n_outputs
    pool = read_pool(gaussian)
    assert torch.equal(data.test_images, pool.images[pool.n_train :])


def test_two_outputs_are_refused(gaussian, tmp_path):
    with pytest.raises(UserError, match=r"labels\.teacher_outputs: 2 is not allowed"):
        label(TEACHER.model_copy(update={"teacher_outputs": 2}), gaussian, tmp_path / "l.h5")


CONV = {"teacher_model": "plain_conv", "teacher_width": 3, "teacher_depth": 2}
SIZES = {"teacher_depth": None, "teacher_proportions": [1, 1.5]}


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        (SIZES, {"linear1.weight": (6, 192), "linear2.weight": (9, 6)}),
        (CONV, {"conv1.weight": (3, 3, 3, 3), "output.weight": (5, 3 * 4 * 4)}),
        ({**CONV, "teacher_norm": "after"}, {"conv2_bn.running_var": (3,)}),
        ({"teacher_norm": "before"}, {"linear2_bn.running_mean": (6,)}),
    ],
    ids=["sizes", "convolutions", "after", "before"],
)
def test_every_kind_of_teacher_is_stored_as_it_labelled(options, shapes, gaussian, tmp_path):
    rule = Labels.model_validate({**TEACHER.model_dump(), **options})
    label(rule, gaussian, tmp_path / "l.h5")
    data = read(gaussian, tmp_path / "l.h5")
    for name, shape in shapes.items():
        assert data.teacher.state[name].shape == shape
    network = models.build(data.teacher.model, (3, 8, 8), 5).double().eval()
    network.load_state_dict(dict(data.teacher.state), strict=False)
    with torch.no_grad():
        torch.testing.assert_close(data.teacher.train_outputs, network(data.train_images.double()).float())


def test_a_teachers_batchnorm_has_the_statistics_of_the_training_images(gaussian, tmp_path):
    rule = Labels.model_validate({**TEACHER.model_dump(), "teacher_norm": "before", "train_size": None})
    label(rule, gaussian, tmp_path / "l.h5")
    data = read(gaussian, tmp_path / "l.h5")
    first = data.train_images.flatten(1).double() @ data.teacher.state["linear1.weight"].T
    entering = first + data.teacher.state["linear1.bias"]
    torch.testing.assert_close(data.teacher.state["linear1_bn.running_mean"], entering.mean(dim=0))
    assert not any(name.endswith(("_bn.weight", "_bn.bias")) for name in data.teacher.state)


def measurements(path):
    with storage.reading(path, "probe") as file:
        assert len(storage.read_table(file, "failures")) == 0
        return storage.read_table(file, "measurements")


def test_a_student_learns_the_outputs_and_is_compared_with_its_teacher(gaussian, tmp_path):
    """From the labels to the probes' files: the loss falls, winners are found, both probes read the teacher."""
    label(TEACHER, gaussian, tmp_path / "l.h5")
    data = read(gaussian, tmp_path / "l.h5")
    sections = {"model": {"name": "mlp", "width": 24, "depth": 2}, "loss": "distillation", "init": "default"}
    sections |= {"training": {"epochs": 12, "batch_size": 25, "snapshots": [0, 12], "batchnorm": "running"}}
    cells = {
        f"seed={seed}": Cell.model_validate({**sections, "optimizer": {"lr": 0.1}, "seed": seed}) for seed in (0, 1)
    }
    paths = tmp_path / "weights.h5", tmp_path / "history.h5"
    train_pack(cells, data, *paths, RunOptions(device="cpu"))
    found = {}
    for name in ("performance", "node_correlation", "backward_coupling"):
        probes.measure_pack(Probe(name=name), cells, paths[0], data, tmp_path / f"{name}.h5", device="cpu")
        found[name] = measurements(tmp_path / f"{name}.h5")
    loss = found["performance"].query("quantity == 'train_loss'").groupby("epoch")["value"].mean()
    agreement = found["performance"].query("quantity == 'train_accuracy'").groupby("epoch")["value"].mean()
    assert loss[12] < 0.7 * loss[0]
    assert agreement[12] > agreement[0]
    ranks = found["node_correlation"].query("quantity == 'final_winner_rank'").groupby("epoch")["value"].max()
    assert ranks[12] == 0 < ranks[0]
    assert set(found["backward_coupling"]["layer"]) == {"linear1_relu", "linear2_relu"}
    best = found["node_correlation"].query("quantity == 'best_node_correlation' and epoch == 12")["value"]
    assert best.between(0, 1, inclusive="neither").all()


def test_training_on_outputs_equals_a_plain_loop(gaussian, tmp_path):
    """An ordinary module, torch's own optimiser and loss, float64."""
    label(TEACHER, gaussian, tmp_path / "l.h5")
    data = read(gaussian, tmp_path / "l.h5")
    sections = {"model": {"name": "mlp", "width": 8}, "loss": "distillation", "optimizer": {"lr": 0.05}, "seed": 3}
    training = {"epochs": 2, "batch_size": 64, "snapshots": [0], "dtype": "float64"}
    cell = Cell.model_validate({**sections, "training": training})
    paths = tmp_path / "weights.h5", tmp_path / "history.h5"
    train_pack({"one": cell}, data, *paths, RunOptions(device="cpu", compile_step="off"))
    network = models.build(cell.model, (3, 8, 8), 5).double()
    network.load_state_dict(weights.read_cell(paths[0], "one", 0)[-1])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(2):
        for index in torch.from_numpy(order(3, epoch, 300)).split(64):
            outputs = network(data.train_images[index].double())
            loss = nn.functional.mse_loss(outputs, data.teacher.train_outputs[index].double())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    trained = weights.read_cell(paths[0], "one")[-1]
    for name, value in network.state_dict().items():
        torch.testing.assert_close(trained[name], value, rtol=1e-10, atol=1e-12)


STUDY = """\
title: t
base:
  model: {name: mlp, width: 4}
  labels: {labels}
  loss: {loss}
probes: {probes}
"""


def load(folder, labels, loss, probes):
    (folder / "s.yaml").write_text(
        STUDY.replace("{labels}", labels).replace("{loss}", loss).replace("{probes}", probes)
    )
    return load_study(folder / "s.yaml")


def test_a_loss_without_its_teacher_is_refused_when_the_study_is_read(tmp_path):
    with pytest.raises(UserError, match=r"s\.yaml: cell base: loss: 'distillation' needs.*distinct_teacher or teacher"):
        load(tmp_path, "original", "distillation", "[]")
    for labels in ("teacher", "distinct_teacher"):
        assert load(tmp_path, labels, "distillation", "[node_correlation]").cells["base"].labels.name == labels


def test_a_probe_for_which_no_cell_has_a_teacher_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"probes: 'backward_coupling' compares.*no cell has one"):
        load(tmp_path, "original", "cross_entropy", "[backward_coupling]")
