# runs.<name> (+ its store) -> R/train/<name>/: torch workers under Ray Train.


rule train:
    input:
        store=store_of,
        # A checkpoint of this experiment that the run starts from is made first.
        initial=initial_of,
    output:
        metrics=f"{R}/train/{{run}}/metrics.parquet",
        prediction=f"{R}/train/{{run}}/prediction.npz",
        # The files and not the folder, which Snakemake would remove with all that lies in it.
        weights=f"{R}/train/{{run}}/checkpoint/model.pt",
        description=f"{R}/train/{{run}}/checkpoint/model.json",
        record=f"{R}/train/{{run}}/run.json",
    log:
        f"{LOGS}/train/{{run}}.log",
    benchmark:
        f"{LOGS}/benchmark/train/{{run}}.tsv"
    threads: num_workers
    resources:
        # "host:port" of a running Ray or "auto"; else the job starts one over its own nodes.
        ray_address="",
        mem_mb=4000,
        runtime=240,
    params:
        # Decides about a rerun; the number of workers, which does not, comes by `config`.
        config=stage_config("runs", "run"),
        source=stage_source("runs", "run"),
        seed=experiment.seed,
        # Not an output, so it survives a kill: checkpoints to resume from.
        state=f"{R}/state/train/{{run}}",
        # Not an output: there if the stage failed, with the reason.
        failed=f"{R}/failed/train.{{run}}.json",
    script:
        "../scripts/train.py"
