"""Published populations, read from small files of the same form."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest

from gengap.errors import UserError
from gengap.scoreboard.readers import READERS, dziugaite, modelzoo, pgdl


@pytest.fixture
def published(tmp_path):
    """Columns and spelling of Dziugaite's file, three of its 32 measures."""
    rows = []
    grid = itertools.product(("cifar10", "svhn"), (0.001, 0.01), (2, 3), (8, 12), (10000,))
    for experiment, (dataset, lr, depth, width, size) in enumerate(grid):
        for repeat in range(2):
            number = 2 * experiment + repeat
            rows.append(
                {
                    "experiment_id": experiment,
                    "repeat_id": repeat,
                    "hp.lr": lr + 1e-9 * repeat,
                    "hp.dataset": dataset,
                    "hp.model_depth": depth,
                    "hp.model_width": width,
                    "hp.train_dataset_size": size,
                    "is.converged": True,
                    "is.high_train_accuracy": True,
                    "gen.gap": 0.01 * number,
                    "complexity.params": depth * width,
                    "complexity.path_norm": number**2,
                    "complexity.log_prod_of_spec": number,
                    "complexity.log_prod_of_spec_fft": -number,
                }
            )
    path = tmp_path / "nin.cifar10_svhn.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_dziugaites_table(published):
    found = dziugaite(published)
    assert found.gap == "gen.gap"
    assert set(found.axes) == {
        "lr",
        "dataset",
        "model_depth",
        "model_width",
    }  # the size of the training set is fixed here
    assert found.measures == ("params", "path_norm", "log_prod_of_spec_fft")
    assert (found.seed, found.test_size) == ("repeat_id", 10_000)
    assert len(found.starts) == 16
    assert sorted(set(found.table["lr"])) == [0.001, 0.01]


def test_dziugaites_networks_that_are_left_out(published):
    table = pd.read_csv(published)
    table.loc[0, "is.converged"] = False
    table.loc[1, "is.high_train_accuracy"] = False
    table = table.astype({"complexity.path_norm": float, "complexity.log_prod_of_spec": float})
    table.loc[2, "complexity.path_norm"] = np.inf
    table.loc[3, "complexity.log_prod_of_spec"] = np.nan  # not judged, but their code leaves it out
    table.to_csv(published, index=False)
    found = dziugaite(published)
    assert dict(found.left_out) == {"not finite": 2, "not converged": 1, "not high_train_accuracy": 1}


def test_another_table_is_not_dziugaites(tmp_path):
    (tmp_path / "a.csv").write_text("hp.lr,gap\n1,2\n")
    with pytest.raises(UserError, match=r"a.csv: lacks the column 'gen.gap'"):
        dziugaite(tmp_path / "a.csv")


@pytest.fixture
def contest(tmp_path):
    """A task of PGDL, numbered as there, and two submissions: one beside the models, one in the contest's layout."""
    folder = tmp_path / "task1"
    folder.mkdir()
    configs = {}
    for number, (width, depth, dropout) in enumerate(itertools.product((256, 512), (2, 3), ("0", "0.5"))):
        values = {"convwidth": (width, [256, 512]), "depth": (depth, [2, 3]), "dropout": (dropout, ["0", "0.5"])}
        hparams = {name: {"current_value": one, "possible_values": every} for name, (one, every) in values.items()}
        metrics = {"train_acc": 1.0, "test_acc": 0.9 - 0.01 * number, "train_loss": 0.01}
        configs[str(number + 20)] = {"hparams": hparams, "metrics": metrics}
    (folder / "model_configs.json").write_text(json.dumps(configs))
    (folder / "sharpness.predict").write_text(json.dumps({f"model_{name}": int(name) for name in configs}))
    (tmp_path / "mixup").mkdir()
    (tmp_path / "mixup/task1.predict").write_text(json.dumps({f"model_{name}": -int(name) for name in configs}))
    return folder


def test_a_task_of_pgdl(contest):
    found = pgdl(contest)
    assert found.axes == ("convwidth", "depth", "dropout")
    assert found.measures == ("sharpness", "mixup")
    assert found.values("gap") == pytest.approx(0.1 + 0.01 * np.arange(8))
    assert found.values("sharpness").tolist() == list(range(20, 28))
    assert found.values("mixup").tolist() == [-n for n in range(20, 28)]


def test_wrong_files_of_pgdl(contest):
    prediction = contest / "sharpness.predict"
    prediction.write_text('{"model_20": 1}')
    with pytest.raises(UserError, match=r"sharpness.predict: lacks the model 'model_21'"):
        pgdl(contest)
    prediction.write_text("nothing")
    with pytest.raises(UserError, match=r"sharpness.predict: is not JSON"):
        pgdl(contest)
    prediction.unlink()
    (contest.parent / "mixup/task1.predict").unlink()
    with pytest.raises(UserError, match=r"task1: has no predictions"):
        pgdl(contest)
    (contest / "model_configs.json").write_text('{"1": {"metrics": {}}}')
    with pytest.raises(UserError, match=r"model_configs.json: 1: lacks 'hparams'"):
        pgdl(contest)


@pytest.fixture
def zoo(tmp_path):
    """A zoo as ray tune wrote it: a folder per network, an epoch per line, -999 before the first."""
    folder = tmp_path / "tune_zoo_mnist"
    grid = itertools.product(("tanh", "relu"), (0.0, 0.5), (0.001, 0.0001), (11, 12))
    for number, (nlin, dropout, lr, seed) in enumerate(grid):
        config = {"model::nlin": nlin, "model::dropout": dropout, "optim::lr": lr, "optim::wd": 0.001, "seed": seed}
        config |= {"training::checkpoint_dir": None, "dataset::dump": f"/somewhere/{number}.pt"}
        untrained = {"train_loss": -999, "train_acc": -999, "test_loss": 2.3, "test_acc": 0.1, "training_iteration": 0}
        trained = {
            "train_loss": 0.1 + 0.01 * number,
            "train_acc": 0.95,
            "test_loss": 0.3,
            "test_acc": 0.9 - 0.01 * number,
        }
        network = folder / f"NN_tune_trainable_{number:05d}"
        network.mkdir(parents=True)
        lines = [untrained | {"config": config}, trained | {"training_iteration": 1, "config": config}]
        (network / "result.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "config.json").write_text("{}")
    return folder


def test_a_zoo(zoo):
    found = modelzoo(zoo)
    assert found.axes == ("model::nlin", "model::dropout", "optim::lr")
    assert (found.seed, found.measures) == ("seed", ("train_loss",))
    by_network = found.table.sort_values("network")
    assert by_network["gap"].to_numpy() == pytest.approx(0.05 + 0.01 * np.arange(16))


def test_a_zoo_with_measures_and_a_network_without_training(zoo):
    first = zoo / "NN_tune_trainable_00000/result.json"
    first.write_text(first.read_text().splitlines()[0] + "\n")
    names = sorted(one.name for one in zoo.iterdir() if one.is_dir())
    pd.DataFrame({"network": names, "norm": range(16)}).to_csv(zoo / "measures.csv", index=False)
    found = modelzoo(zoo)
    assert found.measures == ("norm",)
    assert dict(found.left_out) == {"gap not finite": 1}


def test_no_zoo(tmp_path):
    with pytest.raises(UserError, match=r"has no folder with a result.json"):
        modelzoo(tmp_path)


def test_the_command_knows_every_reader():
    from gengap.cli import scoreboard

    assert tuple(READERS) == scoreboard.READERS
