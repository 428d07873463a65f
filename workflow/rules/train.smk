# runs.<name> (+ its store) -> results/train/<name>/: torch workers under Ray Train.


rule train:
    input:
        store=store_of,
    output:
        metrics="results/train/{run}/metrics.parquet",
        prediction="results/train/{run}/prediction.npz",
        checkpoint=directory("results/train/{run}/checkpoint"),
        record="results/train/{run}/run.json",
    log:
        "logs/train/{run}.log",
    benchmark:
        "logs/benchmark/train/{run}.tsv"
    threads: num_workers
    resources:
        # "host:port" of a running Ray or "auto"; else the job starts one over its own nodes.
        ray_address="",
        mem_mb=3500,
        runtime=240,
    params:
        # Decides about a rerun; the number of workers, which does not, comes by `config`.
        config=stage_config("runs", "run"),
        source=stage_source("runs", "run"),
        seed=experiment.seed,
        # Not an output, so it survives a kill: checkpoints to resume from.
        state="results/state/train/{run}",
    script:
        "../scripts/train.py"
