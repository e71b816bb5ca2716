rule simulate:
    """Simulate the draws of one point of a simulation's grid."""
    input:
        unpack(inputs("simulate")),
    output:
        update(layout.point("{study}", "{point}")),
    log:
        layout.log("{study}", "simulate", "{point}"),
    threads: 1  # points run side by side, and their last bits must not depend on the load
    resources:
        mem_mb=mb_of_draw,
        runtime=lambda wildcards, attempt: 60 * attempt,  # minutes
    params:
        point=param("simulate", "point"),
        # A function of `output` is not recorded as a parameter, so another spelling of the name makes nothing again.
        name=lambda wildcards, output: PLAN.points[wildcards.study][wildcards.point],
        results_version=param("simulate", "results_version"),
    message:
        "Simulating {wildcards.point} of {wildcards.study}"
    script:
        "../workflow/scripts/simulate.py"


rule collect_simulation:
    """Join the points of a simulation to the measurements that evidence is made from."""
    input:
        unpack(inputs("collect_simulation")),
    output:
        measurements=update(layout.measurements("{study}")),
        cells=update(layout.cells("{study}")),
    log:
        layout.log("{study}", "collect"),
    wildcard_constraints:
        study=any_of(SIMULATIONS),
    localrule: True
    params:
        simulation=param("collect_simulation", "simulation"),
    message:
        "Collecting {wildcards.study}"
    script:
        "../workflow/scripts/collect_simulation.py"
