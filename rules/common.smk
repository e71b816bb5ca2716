"""What several rules ask: which cell stands for a pack, which files a study needs, which code a rule depends on."""


def cell_of(study, pack):
    """Any cell of a pack: they share their data."""
    return STUDIES[study].cells[PACKS[study][pack][0]]


CELLS = [cell_of(study, pack) for study in STUDIES for pack in PACKS[study]]
SIMULATED = [
    cell  # for their datasets alone
    for simulation in SIMULATIONS.values()
    for point in simulation.points.values()
    if (cell := data_of(point))
]
DATASETS = {dataset_key(cell): section_settings(cell, "dataset") for cell in [*CELLS, *SIMULATED]}
LABELS = {(dataset_key(cell), labels_key(cell)): section_settings(cell, "labels") for cell in CELLS}


def any_of(names):
    """A wildcard's constraint: exactly these names; without any, nothing (an empty constraint would be none)."""
    return "|".join(re.escape(name) for name in dict.fromkeys(names)) or "(?!)"


def prepared(wildcards):
    return f"data/prepared/{dataset_key(cell_of(wildcards.study, wildcards.pack))}.h5"


def labelled(wildcards):
    cell = cell_of(wildcards.study, wildcards.pack)
    return f"data/labelled/{dataset_key(cell)}/{labels_key(cell)}.h5"


def labelled_data(study):
    """The labelled data of a study, each file once."""
    cells = [cell_of(study, pack) for pack in PACKS[study]]
    return sorted({f"data/labelled/{dataset_key(cell)}/{labels_key(cell)}.h5" for cell in cells})


def point_of(wildcards):
    return SIMULATIONS[wildcards.study].points[POINTS[wildcards.study][wildcards.point]]


def simulated_data(wildcards):
    """The prepared data of a simulation's point: one file or none."""
    cell = data_of(point_of(wildcards))
    return [f"data/prepared/{dataset_key(cell)}.h5"] if cell else []


def data_read_by(name):
    """The data that a study or a simulation reads."""
    if name in STUDIES:
        return labelled_data(name)
    cells = [cell for point in SIMULATIONS[name].points.values() if (cell := data_of(point))]
    return [f"data/prepared/{dataset_key(cell)}.h5" for cell in cells]


@functools.cache  # the jobs that train and that measure a pack depend on the same
def settings_of(study, pack):
    """What a job of this pack depends on: the resolved settings of its cells."""
    return pack_settings(STUDIES[study], PACKS[study][pack])


def cells_of(wildcards):
    return settings_of(wildcards.study, wildcards.pack)


def probe_of(wildcards):
    """The study's settings of a probe."""
    probes = {probe.name: probe for probe in STUDIES[wildcards.study].probes}
    return probe_settings(probes[wildcards.probe])


def evidence_of(study):
    """Everything that a study or a simulation ends with."""
    folder = f"results/{study}"
    figures = [f"{folder}/figures/{name}.pdf" for name in TARGETS[study].figures]
    tables = [f"{folder}/tables/{name}.csv" for name in TARGETS[study].tables]
    return [
        f"{folder}/cells.csv",
        *figures,
        *tables,
        f"{folder}/verdicts.csv",
        f"{folder}/metrics.json",
    ]


def published(wildcards):
    """The files of published numbers that a study is compared with."""
    return expand("config/reference/{name}.csv", name=TARGETS[wildcards.study].reference)


def source(kind, name):
    """The file of a registered module; none for a user's own, whose code is a parameter: it may lie anywhere."""
    entry = REGISTRY[kind][name]
    return [] if entry.external else [f"src/{entry.module.replace('.', '/')}.py"]


def probe_code(name):
    """The files of the package that decide what a probe measures."""
    entry = REGISTRY["probe"][name]
    return [] if entry.external else probe_sources(entry.module)


def evidence_code(kind, name):
    """The files of the package that decide what a figure or a table shows."""
    entry = REGISTRY[kind][name]
    return sources(f"gengap.evidence.{kind}s" if entry.external else entry.module)


def caption(kind, name):
    """The caption of a figure or a table as a file, which is what Snakemake takes."""
    return captions.write(name, REGISTRY[kind][name].caption, Path(".gengap/captions"))


def threads_of_pack(wildcards):
    """One core per pack while there are packs enough: two packs side by side beat one on two cores."""
    return max(1, (workflow.cores or 1) // len(PACKS[wildcards.study]))
