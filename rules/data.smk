rule wanted:
    """List the data that config/config.yaml's studies read: all that DVC's stages of data depend on."""
    output:
        update("data/wanted.txt"),
    log:
        "data/logs/wanted.log",
    localrule: True
    params:
        files=BUILT_DATA,
    message:
        "Listing the data that studies read"
    shell:
        "printf '%s\\n' {params.files:q} > {output} 2> {log}"


rule prepare:
    """Rescale and standardise the images of one dataset."""
    input:
        script="workflow/scripts/prepare.py",
    output:
        update("data/prepared/{dataset}.h5"),
    log:
        "data/logs/prepare/{dataset}.log",
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,  # minutes; the first time, the raw files are downloaded
    params:
        settings=lambda wildcards: DATASETS[wildcards.dataset],
        results_version=versions.DATA,
    message:
        "Preparing {wildcards.dataset}"
    script:
        "../workflow/scripts/prepare.py"
