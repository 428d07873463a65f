# datasets.<name> -> data/<name>.zarr: Dask tasks, each writing whole shards.


rule generate:
    output:
        # zarr.json carries `complete: true`: the last write of a store, so the one to track.
        store="data/{dataset}.zarr/zarr.json",
        record="data/{dataset}.run.json",
    log:
        "logs/generate/{dataset}.log",
    benchmark:
        "logs/benchmark/generate/{dataset}.tsv"
    threads: 2
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        config=stage_config("datasets", "dataset"),
        source=stage_source("datasets", "dataset"),
        seed=experiment.seed,
    script:
        "../scripts/generate.py"
