STATISTICS = [f"src/gengap/analysis/{name}.py" for name in ("intervals", "resampling")]


# One rule per figure and table, because a rule has one caption. An edit of a module remakes its own alone.
for name in REGISTRY["figure"]:

    rule:
        name:
            f"figure_{name}"
        input:
            measurements="results/{study}/measurements.h5",
            module=source("figure", name),
            shared=[*shared_sources("figure"), *STATISTICS],
            script="workflow/scripts/figure.py",
        output:
            pdf=update(f"results/{{study}}/figures/{name}.pdf"),
            png=report(
                update(f"results/{{study}}/figures/{name}.png"),
                caption=f"../workflow/report/{name}.rst",
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
        message:
            f"Drawing {name} of {{wildcards.study}}"
        script:
            "../workflow/scripts/figure.py"


for name in REGISTRY["table"]:

    rule:
        name:
            f"table_{name}"
        input:
            measurements="results/{study}/measurements.h5",
            module=source("table", name),
            shared=[*shared_sources("table"), *STATISTICS],
            script="workflow/scripts/table.py",
        output:
            csv=report(
                update(f"results/{{study}}/tables/{name}.csv"),
                caption=f"../workflow/report/{name}.rst",
                category="Tables",
                subcategory="{study}",
                labels={"table": name.replace("_", " ")},
            ),
            md=update(f"results/{{study}}/tables/{name}.md"),
            tex=update(f"results/{{study}}/tables/{name}.tex"),
        log:
            f"results/{{study}}/logs/table/{name}.log",
        localrule: True
        params:
            table=name,
        message:
            f"Writing table {name} of {{wildcards.study}}"
        script:
            "../workflow/scripts/table.py"


rule verdicts:
    """Compare every published number with the measured interval."""
    input:
        measurements="results/{study}/measurements.h5",
        references=lambda wildcards: expand("config/reference/{name}.csv", name=TARGETS[wildcards.study].reference),
        shared=[f"src/gengap/analysis/{name}.py" for name in ("verdicts", "references", "intervals")],
        script="workflow/scripts/verdicts.py",
    output:
        report(
            update("results/{study}/verdicts.csv"),
            caption="../workflow/report/verdicts.rst",
            category="Tables",
            subcategory="{study}",
            labels={"table": "verdicts"},
        ),
    log:
        "results/{study}/logs/verdicts.log",
    localrule: True
    message:
        "Judging {wildcards.study}"
    script:
        "../workflow/scripts/verdicts.py"


rule metrics:
    """Count cells and verdicts, and note the best accuracies, for `dvc metrics`."""
    input:
        measurements="results/{study}/measurements.h5",
        verdicts="results/{study}/verdicts.csv",
        module="src/gengap/analysis/metrics.py",
        script="workflow/scripts/metrics.py",
    output:
        update("results/{study}/metrics.json"),
    log:
        "results/{study}/logs/metrics.log",
    localrule: True
    message:
        "Summing up {wildcards.study}"
    script:
        "../workflow/scripts/metrics.py"
