# Everything the experiment names -> one table and one self-contained report.


rule aggregate:
    # Functions: only the job that aggregates needs the names of all results.
    input:
        datasets=lambda wildcards: expand(
            "data/{name}.run.json", name=experiment.datasets
        ),
        runs=lambda wildcards: expand(
            f"{R}/train/{{name}}/{{file}}", name=experiment.runs, file=TRAINED
        ),
        searches=lambda wildcards: expand(
            f"{R}/search/{{name}}/{{file}}", name=experiment.bounds, file=SEARCHED
        ),
        verdicts=lambda wildcards: expand(
            f"{R}/certify/{{name}}/{{file}}", name=experiment.bounds, file=CERTIFIED
        ),
    output:
        summary=f"{R}/summary.parquet",
        table=f"{R}/summary.txt",
        report=report(f"{R}/report.html", caption="../report/report.rst"),
        record=f"{R}/run.json",
    log:
        f"{LOGS}/aggregate.log",
    benchmark:
        f"{LOGS}/benchmark/aggregate.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=20,
    params:
        config=lambda wildcards: experiment.model_dump(mode="json"),
        seed=experiment.seed,
        source=lambda wildcards: report_source("pipeline.aggregate.stage"),
    script:
        "../scripts/aggregate.py"
