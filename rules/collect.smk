rule collect:
    """Join the histories and measurements of a study's packs."""
    input:
        labelled=lambda wildcards: labelled_data(wildcards.study),
        histories=lambda wildcards: expand(
            "results/{study}/packs/{pack}/history.h5",
            study=wildcards.study,
            pack=PACKS[wildcards.study],
        ),
        probes=lambda wildcards: expand(
            "results/{study}/packs/{pack}/probes/{probe}.h5",
            study=wildcards.study,
            pack=PACKS[wildcards.study],
            probe=[probe.name for probe in STUDIES[wildcards.study].probes],
        ),
        modules=sources("gengap.evidence.collect"),
        script="workflow/scripts/collect.py",
    output:
        measurements=update("results/{study}/measurements.h5"),
        cells=update("results/{study}/cells.csv"),
    log:
        "results/{study}/logs/collect.log",
    wildcard_constraints:
        study=any_of(STUDIES),
    localrule: True
    params:
        study=lambda wildcards: collected_settings(STUDIES[wildcards.study]),
        quantities=quantities.digest(),
    message:
        "Collecting {wildcards.study}"
    script:
        "../workflow/scripts/collect.py"
