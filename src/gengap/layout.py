"""The names of all files, each defined only here.

Paths are relative to the project's folder; with another folder in front, `project / layout.weights(...)`, they are
those of another project. The rules call the same functions with wildcards: `layout.weights("{study}", "{pack}")`.
"""

from pathlib import Path

# What users write.
CONFIG = Path("config/config.yaml")
STUDIES = Path("config/studies")
SIMULATIONS = Path("config/simulations")
PAPERS = Path("config/papers.yaml")
PUBLISHED = Path("config/published")
STUDY_SCHEMA = Path("config/study.schema.json")
PLUGINS = Path("plugins")
PROFILE = Path("profiles/default/config.yaml")
DATASET_ARCHIVES = Path("data/sources.csv")

# What is kept in git of results: pages with their evidence, and exports that it is redrawn from.
FINDINGS = Path("docs/findings")
EXPORTS = FINDINGS / "exports"

# What jobs make. Every other file that a job reads is code or a published number.
DATA = Path("data")
RESULTS = Path("results")
PREPARED = DATA / "prepared"
LABELLED = DATA / "labelled"
JOBS = DATA / "jobs"
# Results of other machines, as `gengap export` wrote them there; files that nobody here can make again.
IMPORTS = DATA / "imports"

# What no version control sees: of this machine, and made again where it is missing.
PRIVATE = Path(".gengap")
STORE = PRIVATE / "store"
TIMINGS = PRIVATE / "timings.jsonl"
PREDICTIONS = PRIVATE / "predictions.jsonl"
RUN_LOCK = PRIVATE / "running"
CAPTIONS = PRIVATE / "captions"
DAMAGED = PRIVATE / "damaged"
# gengap's own files, by their names in a checkout of it; in a lab these links lead to the installed package.
INSTALLED = PRIVATE / "installed"
PACKAGE = Path("src/gengap")
WORKFLOW = Path("workflow")

# DVC's own.
DVC = Path(".dvc")
DVC_STAGES = Path("dvc.yaml")

# Snakemake's own.
SNAKEMAKE = Path(".snakemake")
RECORDS = SNAKEMAKE / "metadata"
INCOMPLETE = SNAKEMAKE / "incomplete"  # marks of files whose job has not ended, named as the records
SNAKEMAKE_LOCKS = SNAKEMAKE / "locks"

# Folders of a study's results.
PACKS, POINTS, FIGURES, TABLES, LOGS = "packs", "points", "figures", "tables", "logs"


def study_file(name: str) -> Path:
    """The file of a study, by its name without ``-reduced``."""
    return STUDIES / f"{name}.yaml"


def simulation_file(name: str) -> Path:
    """The file of a simulation, by its name without ``-reduced``."""
    return SIMULATIONS / f"{name}.yaml"


def published(name: str) -> Path:
    """A file of published numbers."""
    return PUBLISHED / f"{name}.csv"


def is_checkout() -> bool:
    """Whether this folder has gengap's own source; a lab only has studies, and gengap is installed."""
    return PACKAGE.is_dir()


def own(path: Path) -> Path:
    """How this project reaches one of gengap's own files, wherever gengap is installed.

    Args:
        path: Its name in a checkout, e.g. ``src/gengap/probes/margin.py``.
    """
    return path if is_checkout() else INSTALLED / path


def in_checkout(path: Path) -> Path:
    """The name in a checkout of what `own` returned."""
    return path.relative_to(INSTALLED) if path.is_relative_to(INSTALLED) else path


def script(name: str) -> Path:
    """The script of a rule."""
    return own(WORKFLOW / "scripts" / f"{name}.py")


def report_text(name: str) -> Path:
    """A text of Snakemake's report."""
    return own(WORKFLOW / "report" / f"{name}.rst")


def report_style(name: str) -> Path:
    """A style of a report."""
    return own(WORKFLOW / "report" / f"{name}.css")


def make_targets() -> Path:
    """The targets of make that run studies."""
    return own(WORKFLOW / "studies.mk")


def prepared(dataset: str) -> Path:
    """Rescaled and standardised images, by `packing.dataset_key`."""
    return PREPARED / f"{dataset}.h5"


def labelled(dataset: str, labels: str) -> Path:
    """Which images are used, and their labels, by `packing.dataset_key` and `packing.labels_key`."""
    return LABELLED / dataset / f"{labels}.h5"


def jobs(stage: str, name: str = "") -> Path:
    """What the jobs of a stage of DVC are made of, of one study where the stage has one per study."""
    return JOBS / stage / f"{name}.csv" if name else JOBS / f"{stage}.csv"


def imported(name: str) -> Path:
    """Results of another machine, by the name of the file that brought them."""
    return IMPORTS / f"{name}.h5"


def is_made(path: Path) -> bool:
    """Whether jobs made a file, by its path from the project's top; every other is code, a number or an import."""
    return path.parts[:1] in (RESULTS.parts, DATA.parts) and not path.is_relative_to(IMPORTS)


def data_log(*names: str) -> Path:
    """The log of a job that makes data."""
    return DATA / LOGS / Path(*names).with_name(f"{names[-1]}.log")


def results(study: str) -> Path:
    """The folder of all results of a study, a simulation or a paper."""
    return RESULTS / study


def packs(study: str) -> Path:
    """The folder of a study's packs."""
    return results(study) / PACKS


def pack(study: str, pack: str) -> Path:
    """The folder of a pack."""
    return packs(study) / pack


def weights(study: str, name: str) -> Path:
    """The checkpoints of a pack."""
    return weights_in(pack(study, name))


def weights_in(folder: Path) -> Path:
    """The checkpoints in a pack's folder."""
    return folder / "weights.h5"


def history(study: str, name: str) -> Path:
    """The learning curves of a pack."""
    return history_in(pack(study, name))


def history_in(folder: Path) -> Path:
    """The learning curves in a pack's folder."""
    return folder / "history.h5"


def probe(study: str, name: str, probe: str) -> Path:
    """What a probe measured on a pack."""
    return pack(study, name) / "probes" / f"{probe}.h5"


def points(study: str) -> Path:
    """The folder of a simulation's points."""
    return results(study) / POINTS


def point(study: str, name: str) -> Path:
    """The draws of one point of a simulation."""
    return points(study) / f"{name}.h5"


def measurements(study: str) -> Path:
    """All measurements of a study."""
    return measurements_in(results(study))


def measurements_in(folder: Path) -> Path:
    """All measurements in a study's folder of results."""
    return folder / "measurements.h5"


def cells(study: str) -> Path:
    """The table of a study's cells."""
    return cells_in(results(study))


def cells_in(folder: Path) -> Path:
    """The table of the cells in a study's folder of results."""
    return folder / "cells.csv"


def figures(study: str) -> Path:
    """The folder of a study's figures."""
    return results(study) / FIGURES


def figure(study: str, name: str, suffix: str) -> Path:
    """A figure at the width of a journal's column: ``pdf`` and ``png``, and its numbers as ``csv``."""
    return figures(study) / f"{name}.{suffix}"


def page_figure(study: str, name: str, suffix: str) -> Path:
    """A figure at the width of a journal's page: ``pdf`` and ``png``."""
    return figures(study) / "page" / f"{name}.{suffix}"


def figure_files(study: str, name: str) -> dict[str, Path]:
    """All files of a figure, by the names that its job has for them."""
    column = {suffix: figure(study, name, suffix) for suffix in ("pdf", "png", "csv")}
    return column | {f"page_{suffix}": page_figure(study, name, suffix) for suffix in ("pdf", "png")}


def tables(study: str) -> Path:
    """The folder of a study's tables."""
    return results(study) / TABLES


def table(study: str, name: str, suffix: str) -> Path:
    """A table as ``csv``, ``md``, ``tex`` or ``html``."""
    return tables(study) / f"{name}.{suffix}"


def verdicts(study: str) -> Path:
    """The table of a study's verdicts."""
    return results(study) / "verdicts.csv"


def metrics(study: str) -> Path:
    """A study in a few numbers."""
    return results(study) / "metrics.json"


def tracked_metrics(study: str) -> Path:
    """A copy of these numbers that git keeps."""
    return Path("metrics") / f"{study}.json"


def plot(study: str, name: str) -> Path:
    """The numbers of a plot of DVC."""
    return results(study) / "plots" / f"{name}.csv"


def report(study: str) -> Path:
    """Snakemake's report on a study, or on all studies of a paper."""
    return results(study) / "report.html"


def logs(study: str) -> Path:
    """The folder of a study's logs."""
    return results(study) / LOGS


def log(study: str, *names: str) -> Path:
    """The log of a job of a study."""
    return logs(study) / Path(*names).with_name(f"{names[-1]}.log")


def cell_locks(store: Path) -> Path:
    """By which jobs side by side divide the cells, in a store."""
    return store / "locks"


def stored_cells(store: Path) -> Path:
    """The folder of finished cells in a store."""
    return store / "cells"


def stored_cell(store: Path, identity: str) -> Path:
    """A finished cell in a store."""
    return stored_cells(store) / identity[:2] / f"{identity}.h5"


def stored_measurements(store: Path) -> Path:
    """The folder of measurements in a store."""
    return store / "measurements"


def stored_measurement(store: Path, identity: str) -> Path:
    """What a probe measured of a cell, in a store, by `gengap.probes.identity`."""
    return stored_measurements(store) / identity[:2] / f"{identity}.h5"


def unfinished(store: Path) -> Path:
    """The folder of packs in a store that were interrupted."""
    return store / "unfinished"
