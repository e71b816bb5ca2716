"""Chains of cells: pruned weights stay zero, and a cell that comes after another starts from it."""

import dataclasses

import pytest
import torch

from gengap import models, registry
from gengap.engine import stack
from gengap.errors import UserError
from gengap.studies.settings import After, Cell
from gengap.training import RunOptions, cell_result, masks, train_pack
from gengap.training.optimizers import stacked_settings

OPTIONS = RunOptions(device="cpu", compile_step="off")
LAYERS = ["linear1.weight", "linear2.weight", "linear3.weight", "output.weight"]
MLP = {"name": "mlp", "width": 12, "depth": 3}


def after(origin, cell=None, **options):
    """The cell again, after `origin`."""
    return (cell or origin).model_copy(update={"after": After(origin="any", cell=origin, **options)})


@pytest.fixture
def run(data, tmp_path):
    """Train one cell, after the cells of other folders, and return its result."""

    def run(name, cell, *origins, **options):
        paths = tmp_path / name / "weights.h5", tmp_path / name / "history.h5"
        files = [tmp_path / origin / "weights.h5" for origin in origins]
        train_pack({name: cell}, data, *paths, dataclasses.replace(OPTIONS, **options), origins=files)
        return cell_result.read({name: cell}, *paths)[name]

    return run


@pytest.mark.parametrize("optimizer", list(registry.REGISTRY["optimizer"]))
def test_pruned_weights_stay_exactly_zero_for_1000_steps(optimizer):
    """Every optimiser, with momentum and a penalty; its moments stay zero too."""
    reads = registry.check("optimizer", optimizer).reads
    options = {key: value for key, value in {"weight_decay": 1e-3, "momentum": 0.9}.items() if key in reads}
    cell = Cell.model_validate({"optimizer": {"name": optimizer, "lr": 0.01, **options}})
    torch.manual_seed(0)
    gone = torch.rand(2, 3, 12) < 0.5
    pruned = {"w": (~gone).float()}
    first = parameters = masks.masked({"w": torch.randn(2, 3, 12), "b": torch.randn(2, 3)}, pruned)
    module = registry.load("optimizer", optimizer)
    state = module.start(parameters) | {masks.MASK: pruned}
    numbers = stacked_settings([cell, cell], dtype=torch.float32, device=torch.device("cpu"))
    gradients = [{name: torch.randn_like(value) for name, value in parameters.items()} for _ in range(10)]
    for number in range(1000):
        parameters, state = masks.step(module, parameters, gradients[number % 10], state, numbers, cell.optimizer)
    assert (parameters["w"][gone] == 0).all()
    assert (parameters["w"][~gone] != first["w"][~gone]).all()
    moments = [part["w"] for kind, part in state.items() if "w" in part and kind != masks.MASK]
    assert moments
    assert all((moment[gone] == 0).all() for moment in moments)


def test_a_chain_prunes_the_smallest_weights_and_starts_from_the_first_ones(run, make_cell):
    dense = make_cell(model=MLP)
    ticket = after(dense, weights=0.0, prune=(0.2, 0.4, 0.5, 0.1))
    second = after(ticket, weights=0.0, prune=(0.5,))
    found = {"dense": run("dense", dense), "ticket": run("ticket", ticket, "dense")}
    found["second"] = run("second", second, "dense", "ticket")
    before = found["dense"]
    for name, share in zip(LAYERS, ticket.after.prune, strict=True):
        start, end, last = (
            of[name] for of in (before.checkpoints[0.0], found["ticket"].checkpoints[0.0], before.checkpoints[3.0])
        )
        pruned = end == 0
        assert int(pruned.sum()) == round(share * start.numel())
        assert last[pruned].abs().max() <= last[~pruned].abs().min()
        assert torch.equal(end[~pruned], start[~pruned])
        assert (found["ticket"].checkpoints[3.0][name][pruned] == 0).all()
        again = found["second"].checkpoints[0.0][name]
        assert (again[pruned] == 0).all()
        assert int((again != 0).sum()) == int((~pruned).sum()) - round(0.5 * int((~pruned).sum()))
    assert torch.equal(found["second"].checkpoints[0.0]["linear1.bias"], before.checkpoints[0.0]["linear1.bias"])


def test_where_a_cell_starts(run, make_cell):
    dense = make_cell(model=MLP)
    origin = run("dense", dense).checkpoints
    last, rewound = run("last", after(dense), "dense"), run("rewound", after(dense, weights=0.5), "dense")
    fresh = run("fresh", after(dense, weights="fresh", prune=(0.5,)), "dense").checkpoints[0.0]
    random = run("random", after(dense, weights=0.0, prune=(0.5,), mask="random"), "dense").checkpoints[0.0]
    whole = run("global", after(dense, weights=0.0, prune=(0.5,), scope="global"), "dense").checkpoints[0.0]
    for name in LAYERS:
        assert torch.equal(last.checkpoints[0.0][name], origin[3.0][name])
        assert torch.equal(rewound.checkpoints[0.0][name], origin[0.5][name])
        kept = fresh[name] != 0
        assert (fresh[name][kept] != origin[0.0][name][kept]).all()
        assert int(kept.sum()) == int((random[name] != 0).sum())
        assert not torch.equal(kept, random[name] != 0)
        assert torch.equal(random[name][random[name] != 0], origin[0.0][name][random[name] != 0])
    assert (whole["output.weight"] != 0).all()
    pruned = sum(int((whole[name] == 0).sum()) for name in LAYERS[:-1])
    assert pruned == round(0.5 * sum(whole[name].numel() for name in LAYERS[:-1]))


def test_a_wider_network_starts_from_a_narrower_one(run, make_cell):
    """With new weights of zero it would say the same; here they are small and drawn by the wider one's own seed."""
    narrow = make_cell(model=MLP, init={"name": "normal", "std": 0.1})
    wide = narrow.model_copy(update={"model": narrow.model.model_copy(update={"width": 17})})
    trained, alone = run("narrow", narrow), run("alone", wide)
    grown = run("grown", after(narrow, wide, grow=True), "narrow")
    for name, value in grown.checkpoints[0.0].items():
        small, drawn = trained.checkpoints[3.0][name], alone.checkpoints[0.0][name]
        first = tuple(slice(size) for size in small.shape)
        assert torch.equal(value[first], small)
        drawn[first] = small
        assert torch.equal(value, drawn)


@pytest.mark.parametrize("share", [0.5, 0.8])  # by the masked step, and by that on the weights that are left
def test_a_killed_pack_keeps_its_masks(run, make_cell, tmp_path, monkeypatch, share):
    """Saved at every step and stopped at the last: what goes on from there ends with the same bits."""
    from gengap.training import resume

    dense = make_cell(model={**MLP, "batchnorm": "none"})
    ticket = after(dense, weights=0.0, prune=(share,))
    run("dense", dense)
    whole = run("ticket", ticket, "dense").checkpoints
    write = resume.write

    def stops(path, pack, results):
        write(path, pack, results)
        if pack.epoch == 2:
            raise resume.InterruptionError("stopped")

    monkeypatch.setattr(resume, "write", stops)
    again = {"store_folder": tmp_path / "store", "save_seconds": 0.0}
    with pytest.raises(resume.InterruptionError):
        run("again", ticket, "dense", **again)
    monkeypatch.setattr(resume, "write", write)
    found = run("again", ticket, "dense", **again).checkpoints
    assert all(torch.equal(found[3.0][name], value) for name, value in whole[3.0].items())


def test_a_missing_origin_and_wrong_shares_are_told(run, make_cell):
    dense = make_cell(model=MLP)
    with pytest.raises(UserError, match=r"1 network of 1 that others start from is not in any file"):
        run("ticket", after(dense))
    run("dense", dense)
    with pytest.raises(UserError, match=r"has 2 shares, and the network has 4 layers"):
        run("ticket", after(dense, prune=(0.1, 0.2)), "dense")


def test_expected_masks_leave_what_the_cells_will_have(make_cell):
    dense = make_cell(model=MLP)
    cells = [dense, after(dense, prune=(0.75,)), after(after(dense, prune=(0.75,)), prune=(0.5,))]
    arch = stack.architecture(models.build(dense.model, (1, 8, 8), 3))
    state = {name: torch.zeros(3, *value.shape) for name, value in arch.training.named_parameters()}
    found = masks.expected(cells, arch, state)
    assert list(found) == LAYERS
    for mask in found.values():
        assert torch.allclose(mask.flatten(1).mean(dim=1), torch.tensor([1, 0.25, 0.125]), atol=0.02)
    assert masks.expected(cells[:1], arch, state) == {}


def test_expected_masks_of_layers_whose_places_float32_cannot_count(make_cell):
    dense = make_cell(model=MLP)
    arch = stack.architecture(models.build(dense.model, (1, 8, 8), 3))
    size = 2**24 + 3
    wide = torch.empty(1, 1, dtype=torch.int8).expand(1, size)
    state = {name: wide if name == LAYERS[0] else torch.zeros(1, 4) for name in LAYERS}
    mask = masks.expected([after(dense, prune=(0.9,))], arch, state)[LAYERS[0]]
    assert abs(int(mask.sum(dtype=torch.int64)) - 0.1 * size) <= 1


@pytest.mark.parametrize(("weights", "mask"), [(0.0, "magnitude"), ("fresh", "magnitude"), ("fresh", "random")])
def test_what_is_pruned_by_weights_that_are_no_numbers_counts_as_diverged(weights, mask, run, make_cell, caplog):
    dense = make_cell(model=MLP, optimizer={"lr": 1e9})
    sane = make_cell(model=MLP)
    assert run("dense", dense).status == "diverged"
    ticket = after(dense, sane, weights=weights, prune=(0.2,), mask=mask)
    with caplog.at_level("WARNING"):
        assert run("ticket", ticket, "dense").status == "diverged"
    assert "1 network is a pruned one of a network that diverged" in caplog.text
    assert run("second", after(ticket, sane, weights=0.0, prune=(0.2,)), "dense", "ticket").status == "diverged"
    unpruned = after(dense, sane, weights=0.0)
    assert run("unpruned", unpruned, "dense").status == "finished"
