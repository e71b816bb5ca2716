"""Train and measure one study without Snakemake: ``python -m gengap.training near_rank_vgg --device cuda``.

For a machine with little more than PyTorch, such as a rented GPU. It writes the files that the rules `prepare`,
`label`, `train` and `probe` write, at the same places. Copied to another checkout, with the store, they are what
Snakemake finds finished there, and makes figures and tables of. `gengap export` takes them home without the weights.
"""

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gengap import datasets, labels, layout, logs, probes, provenance, training
from gengap.cost import remaining
from gengap.engine import weights
from gengap.errors import UserError, unknown_name
from gengap.evidence.whole import make
from gengap.files import legacy_names, paths, storage
from gengap.logs import log
from gengap.registry import code_dependencies
from gengap.studies import feasibility, imports, published
from gengap.studies.chains import with_origins
from gengap.studies.config import Config
from gengap.studies.consistency import check_study
from gengap.studies.job import Job
from gengap.studies.jobs import Plan
from gengap.studies.names import REDUCED
from gengap.studies.packing import dataset_key, labels_key
from gengap.studies.reading import read_yaml
from gengap.studies.settings import Cell
from gengap.studies.study import Study, load_study
from gengap.studies.validation import validate


def main(arguments: list[str] | None = None) -> None:
    """Train and measure one study; a user's mistake is one message and exit status 1."""
    options = _parser().parse_args(arguments)
    with logs.job():
        begin = time.monotonic()
        legacy_names.rename()
        study = find(options.study)
        if options.cells:
            study = with_held(study, chosen(study, options.cells))
        config = validate(Config, read_yaml(layout.CONFIG), f"{layout.CONFIG}: ")
        plan = Plan({study.name: study}, {}, imports.read())
        for pack in plan.packs[study.name]:
            run_pack(plan, study.name, pack, config, options.device or config.device)
        if options.evidence:
            make.make(plan, study.name)
        log.info("%s: %d cells in %.0f s", study.name, len(study.cells), time.monotonic() - begin)


def find(name: str) -> Study:
    """Read the study of that name, ``-reduced`` for its reduced settings.

    Raises:
        UserError: If there is none.
    """
    known = sorted(path.stem for path in layout.STUDIES.glob("*.yaml"))
    if (plain := name.removesuffix(REDUCED)) not in known:
        raise unknown_name("study", name, known, where=str(layout.STUDIES))
    study = load_study(layout.study_file(plain), reduced=name.endswith(REDUCED))
    check_study(study, layout.study_file(plain))
    for warning in feasibility.check({name: study})[name]:
        log.warning("%s", warning)
    return study


def chosen(study: Study, selector: str) -> Study:
    """The study with only the cells that a selector names, and those that they come after.

    Args:
        study: The study.
        selector: Parts of their names, such as ``dataset=cifar10,seed=0``; numbers are compared as numbers.

    Raises:
        UserError: If it names none.
    """
    values = {name: dict(part.partition("=")[::2] for part in name.split(",")) for name in study.cells}
    axes = dict.fromkeys(axis for own in values.values() for axis in own)
    wanted = published.parse_selector(selector, f"study '{study.name}'")
    if unknown := next((axis for axis in wanted if axis not in axes), ""):
        raise unknown_name("axis", unknown, axes, where=f"study '{study.name}': --cells")
    names = [
        name
        for name, own in values.items()
        if all(axis in own and published.matches(own[axis], value) for axis, value in wanted.items())
    ]
    if not names:
        raise UserError(
            f"--cells: no cell of '{study.name}' has {selector}. Their names look like {next(iter(study.cells))}."
        )
    cells = {name: study.cells[name] for name in with_origins(study.cells, study.axes, names)}
    return study.model_copy(update={"cells": cells})


def with_held(study: Study, part: Study) -> Study:
    """The chosen cells and those that the packs' files hold already, which are written as a whole.

    Args:
        study: All of the study.
        part: From `chosen`.

    Raises:
        UserError: If a file is damaged.
    """
    held = {
        name
        for file in sorted(layout.packs(study.name).glob(layout.weights_in(Path("*")).as_posix()))
        for name, settings in weights.read_settings(file).items()
        if name in study.cells and _is_of(settings, study.cells[name])
    }
    return part.model_copy(
        update={"cells": {name: cell for name, cell in study.cells.items() if name in held | set(part.cells)}}
    )


def _is_of(settings: Mapping[str, Any], cell: Cell) -> bool:
    """Whether a file's settings are those of a cell; an earlier version's may be none that a cell can have."""
    try:
        return Cell.model_validate(settings).identity() == cell.identity()
    except (ValueError, UserError):
        return False


def run_pack(plan: Plan, study: str, pack: str, config: Config, device: str) -> None:
    """Train one pack and measure all of the study's probes on it; what is finished is left as it is.

    Raises:
        UserError: If data cannot be had, or a file is damaged.
    """
    log.info("%s of %s", pack, study)
    make_data(plan, study, pack, config)
    cells = {name: plan.studies[study].cells[name] for name in plan.packs[study][pack]}
    train = plan.train(study, pack)
    data = labels.read(Path(train.inputs["prepared"]), Path(train.inputs["labelled"]))
    checkpoints, store = Path(train.outputs["weights"]), Path(config.store)
    training.train_pack(
        cells,
        data,
        checkpoints,
        Path(train.outputs["history"]),
        training.RunOptions(store_folder=store, store_group=config.store_group, device=device),
        origins=[Path(file) for file in train.inputs.get("origins", ())],
        provenance=_provenance(train),
    )
    there = remaining.pack(plan, study, pack, store, data_are_made=False)
    for key, probe in plan.probes(study).items():
        job = plan.probe(study, pack, key)
        output = Path(job.outputs["measured"])
        if there.to_measure(key) or not _is_current(output, "probe", job, _settings(job)):
            probes.measure_pack(
                probe,
                cells,
                checkpoints,
                data,
                output,
                store_folder=store,
                device=device,
                provenance=_provenance(job),
            )


def make_data(plan: Plan, study: str, pack: str, config: Config) -> None:
    """Make the prepared and the labelled file of a pack, if they are missing or other code made them.

    Raises:
        UserError: If the raw data cannot be had.
    """
    cell = plan.cell(study, pack)
    prepare = plan.prepare(dataset_key(cell))
    prepared = Path(prepare.outputs["prepared"])
    if not (kept := _is_current(prepared, "prepared", prepare)):
        datasets.prepare(cell.dataset, paths.data_root(config.data_root), prepared)
    label = plan.label(dataset_key(cell), labels_key(cell))
    labelled = Path(label.outputs["labelled"])
    if not kept or not _is_current(labelled, "labelled", label):
        labels.label(cell.labels, prepared, labelled)


def _settings(job: Job) -> dict[str, Any]:
    """Settings as the scripts of the rules write them into files."""
    return {name: value for name, value in job.params.items() if name != "results_version"}


def _provenance(job: Job) -> dict[str, Any]:
    return provenance.record(_settings(job), code=code_dependencies.digest(job.inputs.get("code", ())))


def _is_current(output: Path, kind: str, job: Job, settings: Mapping[str, Any] | None = None) -> bool:
    """Whether a file is whole and was made by the present code of its job and, where given, with these settings.

    A file of an earlier version, which does not say what code made it, is judged by its settings.
    """
    try:
        with storage.reading(output, kind) as file:
            made = storage.provenance_of(file)
    except UserError as error:
        if output.exists():
            log.warning("%s It is made again.", error)
        return False
    code = code_dependencies.digest(job.inputs["code"])
    same_settings = settings is None or made["settings"] == json.loads(json.dumps(settings))
    return bool(same_settings and made.get("code", code) == code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gengap.training",
        description="Train and measure one study without Snakemake. Run it in the project's folder.",
    )
    parser.add_argument("study", help="name of a file in config/studies; with -reduced, its reduced settings")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), help="where to train; by default the device of config/config.yaml"
    )
    parser.add_argument(
        "--cells",
        metavar="SELECTOR",
        help="train only these cells, e.g. dataset=cifar10,seed=0; "
        "those of an earlier run stay. One run at a time in a folder",
    )
    parser.add_argument("--evidence", action="store_true", help="make figures, tables and verdicts as well")
    return parser


if __name__ == "__main__":
    main()
