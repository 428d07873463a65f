# bounds.<name> -> R/search/<name>/candidate.json: a high-precision solve as a Ray task.


rule search:
    output:
        candidate=f"{R}/search/{{bound}}/candidate.json",
        trace=f"{R}/search/{{bound}}/trace.json",
        record=f"{R}/search/{{bound}}/run.json",
    log:
        f"{LOGS}/search/{{bound}}.log",
    benchmark:
        f"{LOGS}/benchmark/search/{{bound}}.tsv"
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
        state=f"{R}/state/search/{{bound}}",
        # Not an output: there if the stage failed, with the reason.
        failed=f"{R}/failed/search.{{bound}}.json",
    script:
        "../scripts/search.py"
