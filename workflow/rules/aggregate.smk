# Everything the experiment names -> one table and one self-contained report.


rule aggregate:
    # Functions: only the job that aggregates needs the names of all results.
    input:
        datasets=lambda wildcards: expand(
            "data/{name}.run.json", name=experiment.datasets
        ),
        runs=lambda wildcards: expand(
            "results/train/{name}/{file}",
            name=experiment.runs,
            file=["run.json", "metrics.parquet", "prediction.npz"],
        ),
        searches=lambda wildcards: expand(
            "results/search/{name}/{file}",
            name=experiment.bounds,
            file=["run.json", "trace.json", "candidate.json"],
        ),
        verdicts=lambda wildcards: expand(
            "results/certify/{name}/{file}",
            name=experiment.bounds,
            file=["run.json", "verdict.json"],
        ),
        # The digest in params covers Python alone.
        template=f"{workflow.basedir}/pipeline/aggregate/templates/report.html.j2",
    output:
        summary="results/summary.parquet",
        table=SUMMARY,
        report=report("results/report.html", caption="../report/report.rst"),
        record="results/run.json",
    log:
        "logs/aggregate.log",
    benchmark:
        "logs/benchmark/aggregate.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=20,
    params:
        config=lambda wildcards: experiment.model_dump(mode="json"),
        source=lambda wildcards: digest("pipeline.aggregate.stage"),
    script:
        "../scripts/aggregate.py"
