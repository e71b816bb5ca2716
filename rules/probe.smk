rule probe:
    """Measure one probe on the checkpoints of one pack."""
    input:
        unpack(inputs("probe")),
    output:
        update(layout.probe("{study}", "{pack}", "{probe}")),
    log:
        layout.log("{study}", "probe", "{pack}", "{probe}"),
    threads: threads_of_probe
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,  # minutes
    params:
        probe=param("probe", "probe"),
        cells=param("probe", "cells"),
        results_version=param("probe", "results_version"),
    message:
        "Measuring {wildcards.probe} on {wildcards.pack} of {wildcards.study}"
    script:
        "../workflow/scripts/probe.py"
