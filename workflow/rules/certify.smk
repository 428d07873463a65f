# candidate.json -> verdict.json: the independent verifier proves the bound or rejects it.


rule certify:
    input:
        candidate="results/search/{bound}/candidate.json",
    output:
        verdict="results/certify/{bound}/verdict.json",
        record="results/certify/{bound}/run.json",
    log:
        "logs/certify/{bound}.log",
    benchmark:
        "logs/benchmark/certify/{bound}.tsv"
    # A two-point proof is one Sturm chain after the other; boxes are proved side by side.
    threads: lambda wildcards: 2 if is_three_point(wildcards.bound) else 1
    resources:
        mem_mb=1000,
        runtime=120,
    params:
        config=stage_config("bounds", "bound"),
        source=lambda wildcards: digest("pipeline.certify.verify"),
        seed=experiment.seed,
        # Not an output, so it survives a kill: the parts that are proved.
        state="results/state/certify/{bound}.json",
    script:
        "../scripts/certify.py"
