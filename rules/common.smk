"""What several rules ask the plan of jobs."""

PLAN = Plan(STUDIES, SIMULATIONS, IMPORTS)


def any_of(names):
    """A wildcard's constraint: exactly these names; without any, nothing (an empty constraint would be none)."""
    return "|".join(re.escape(name) for name in dict.fromkeys(names)) or "(?!)"


@functools.cache  # Snakemake asks for the inputs and for each parameter
def job(rule, **wildcards):
    try:
        return getattr(PLAN, rule)(**wildcards)
    except UserError as error:  # a file of a pack that there is not was asked for
        with logs.job():
            raise error


def inputs(rule, **part):
    """The inputs of a rule, by name; `part` is what a rule is of that no wildcard says."""
    return lambda wildcards: job(rule, **dict(wildcards.items()), **part).inputs


def param(rule, key, **part):
    """One parameter of a rule; `part` is as for `inputs`."""
    return lambda wildcards: job(rule, **dict(wildcards.items()), **part).params[key]


def evidence_of(study):
    """Everything that a study or a simulation ends with."""
    return [path for one in PLAN.evidence(study) for path in one.outputs.values()]


def caption(kind, name):
    """The caption of a figure or a table as a file, which is what Snakemake takes."""
    return captions.write(name, REGISTRY[kind][name].caption, layout.CAPTIONS)


def mb_of_draw(wildcards, attempt):
    simulation = SIMULATIONS[wildcards.study]
    point = simulation.points[PLAN.points[wildcards.study][wildcards.point]]
    return attempt * (draw_bytes(simulation, point) // 10**6)


def threads_of_training(wildcards):
    """One core per pack while there are packs enough: two packs side by side beat one on two cores."""
    return max(1, (workflow.cores or 1) // PLAN.side_by_side(wildcards.study, wildcards.pack))


def threads_of_probe(wildcards):
    """The same of packs that are trained already."""
    return max(1, (workflow.cores or 1) // len(PLAN.packs[wildcards.study]))
