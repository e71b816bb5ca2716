rule probe:
    """Measure one probe on the checkpoints of one pack."""
    input:
        prepared=prepared,
        labelled=labelled,
        weights="results/{study}/packs/{pack}/weights.h5",
        modules=lambda wildcards: probe_code(wildcards.probe),
        script="workflow/scripts/probe.py",
    output:
        update("results/{study}/packs/{pack}/probes/{probe}.h5"),
    log:
        "results/{study}/logs/probe/{pack}/{probe}.log",
    threads: threads_of_pack
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,  # minutes
    params:
        probe=probe_of,
        cells=cells_of,
        results_version=versions.PROBES,
    message:
        "Measuring {wildcards.probe} on {wildcards.pack} of {wildcards.study}"
    script:
        "../workflow/scripts/probe.py"
