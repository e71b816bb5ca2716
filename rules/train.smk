rule train:
    """Train the cells of one pack together; those that the files hold already are kept."""
    input:
        prepared=prepared,
        labelled=labelled,
        script="workflow/scripts/train.py",
    output:
        weights=update("results/{study}/packs/{pack}/weights.h5"),
        history=update("results/{study}/packs/{pack}/history.h5"),
    log:
        "results/{study}/logs/train/{pack}.log",
    threads: threads_of_pack
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,  # minutes
    params:
        cells=cells_of,
        results_version=versions.TRAINING,
    message:
        "Training {wildcards.pack} of {wildcards.study}"
    script:
        "../workflow/scripts/train.py"
