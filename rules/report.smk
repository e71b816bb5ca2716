# One rule per figure and table, because a rule has one caption. An edit of a module remakes its own alone.
for name in REGISTRY["figure"]:

    rule:
        name:
            f"figure_{name.replace('.', '_')}"
        input:
            measurements="results/{study}/measurements.h5",
            modules=evidence_code("figure", name),
            script="workflow/scripts/figure.py",
        output:
            pdf=update(f"results/{{study}}/figures/{name}.pdf"),
            png=report(
                update(f"results/{{study}}/figures/{name}.png"),
                caption=caption("figure", name),
                category="Figures",
                subcategory="{study}",
                labels={"figure": name.replace("_", " ")},
            ),
            csv=update(f"results/{{study}}/figures/{name}.csv"),
        log:
            f"results/{{study}}/logs/figure/{name}.log",
        localrule: True
        params:
            figure=name,
            code=code("figure", name),
            quantities=quantities.digest(),
        message:
            f"Drawing {name} of {{wildcards.study}}"
        script:
            "../workflow/scripts/figure.py"


for name in REGISTRY["table"]:

    rule:
        name:
            f"table_{name.replace('.', '_')}"
        input:
            measurements="results/{study}/measurements.h5",
            references=published if REGISTRY["table"][name].references else [],
            modules=evidence_code("table", name),
            script="workflow/scripts/table.py",
        output:
            csv=update(f"results/{{study}}/tables/{name}.csv"),
            md=update(f"results/{{study}}/tables/{name}.md"),
            tex=update(f"results/{{study}}/tables/{name}.tex"),
            html=report(
                update(f"results/{{study}}/tables/{name}.html"),
                caption=caption("table", name),
                category="Tables",
                subcategory="{study}",
                labels={"table": name.replace("_", " ")},
            ),
        log:
            f"results/{{study}}/logs/table/{name}.log",
        localrule: True
        params:
            table=name,
            code=code("table", name),
            quantities=quantities.digest(),
        message:
            f"Writing table {name} of {{wildcards.study}}"
        script:
            "../workflow/scripts/table.py"


rule verdicts:
    """Compare every published number with the measured interval."""
    input:
        measurements="results/{study}/measurements.h5",
        references=published,
        modules=sources("gengap.evidence.verdicts", "gengap.evidence.tables"),
        script="workflow/scripts/verdicts.py",
    output:
        csv=update("results/{study}/verdicts.csv"),
        html=report(
            update("results/{study}/tables/verdicts.html"),
            caption="../workflow/report/verdicts.rst",
            category="Tables",
            subcategory="{study}",
            labels={"table": "verdicts"},
        ),
    log:
        "results/{study}/logs/verdicts.log",
    localrule: True
    params:
        quantities=quantities.digest(),
    message:
        "Judging {wildcards.study}"
    script:
        "../workflow/scripts/verdicts.py"


rule metrics:
    """Sum up a study for `dvc metrics` and `dvc plots`."""
    input:
        measurements="results/{study}/measurements.h5",
        verdicts="results/{study}/verdicts.csv",
        modules=sources("gengap.evidence.metrics"),
        script="workflow/scripts/metrics.py",
    output:
        metrics=update("results/{study}/metrics.json"),
        curves=update("results/{study}/plots/curves.csv"),
        final=update("results/{study}/plots/final.csv"),
    log:
        "results/{study}/logs/metrics.log",
    localrule: True
    params:
        quantities=quantities.digest(),
    message:
        "Summing up {wildcards.study}"
    script:
        "../workflow/scripts/metrics.py"
