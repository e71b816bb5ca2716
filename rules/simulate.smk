rule simulate:
    """Simulate the draws of one point of a simulation's grid."""
    input:
        prepared=simulated_data,
        module=lambda wildcards: source("simulation", SIMULATIONS[wildcards.study].simulated),
        script="workflow/scripts/simulate.py",
    output:
        update("results/{study}/points/{point}.h5"),
    log:
        "results/{study}/logs/simulate/{point}.log",
    threads: 1  # points run side by side, and the last bits depend on nothing
    resources:
        mem_mb=lambda wildcards, attempt: attempt
        * REGISTRY["simulation"][SIMULATIONS[wildcards.study].simulated].mem_mb,
        runtime=lambda wildcards, attempt: 60 * attempt,  # minutes
    params:
        point=lambda wildcards: point_settings(point_of(wildcards)),
        # Snakemake takes what is asked of `output` for derived from it, so that a name's spelling makes nothing again.
        name=lambda wildcards, output: POINTS[wildcards.study][wildcards.point],
        results_version=versions.SIMULATIONS,
    message:
        "Simulating {wildcards.point} of {wildcards.study}"
    script:
        "../workflow/scripts/simulate.py"


rule collect_simulation:
    """Join the points of a simulation to the measurements that evidence is made from."""
    input:
        points=lambda wildcards: expand(
            "results/{study}/points/{point}.h5", study=wildcards.study, point=POINTS[wildcards.study]
        ),
        modules=sources("gengap.evidence.collect_simulation"),
        script="workflow/scripts/collect_simulation.py",
    output:
        measurements=update("results/{study}/measurements.h5"),
        cells=update("results/{study}/cells.csv"),
    log:
        "results/{study}/logs/collect.log",
    wildcard_constraints:
        study=any_of(SIMULATIONS),
    localrule: True
    params:
        simulation=lambda wildcards: simulation_settings(SIMULATIONS[wildcards.study]),
        quantities=quantities.digest(),
    message:
        "Collecting {wildcards.study}"
    script:
        "../workflow/scripts/collect_simulation.py"
