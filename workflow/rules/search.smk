# bounds.<name> -> results/search/<name>/candidate.json: a high-precision solve as a Ray task.


rule search:
    output:
        candidate="results/search/{bound}/candidate.json",
        trace="results/search/{bound}/trace.json",
        record="results/search/{bound}/run.json",
    log:
        "logs/search/{bound}.log",
    benchmark:
        "logs/benchmark/search/{bound}.tsv"
    threads: 1
    resources:
        # "host:port" of a running Ray or "auto"; else the job starts one over its own nodes.
        ray_address="",
        mem_mb=3000,
        runtime=120,
    params:
        config=stage_config("bounds", "bound"),
        source=stage_source("bounds", "bound"),
        seed=experiment.seed,
        # Not an output, so it survives a kill: the last iterate, to resume from.
        state="results/state/search/{bound}",
    script:
        "../scripts/search.py"
