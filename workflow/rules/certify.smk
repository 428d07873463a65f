# candidate.json -> verdict.json: the independent verifier proves the bound or rejects it.


rule certify:
    input:
        candidate=f"{R}/search/{{bound}}/candidate.json",
    output:
        verdict=f"{R}/certify/{{bound}}/verdict.json",
        record=f"{R}/certify/{{bound}}/run.json",
    log:
        f"{LOGS}/certify/{{bound}}.log",
    benchmark:
        f"{LOGS}/benchmark/certify/{{bound}}.tsv"
    # A two-point proof is one Sturm chain after the other; boxes are proved side by side.
    threads: lambda wildcards: 2 if proof_divides(wildcards.bound) else 1
    resources:
        mem_mb=1000,
        runtime=120,
    params:
        config=stage_config("bounds", "bound"),
        source=lambda wildcards: digest("pipeline.certification.stage"),
        seed=experiment.seed,
        # Not an output, so it survives a kill: the parts that are proved.
        state=f"{R}/state/certify/{{bound}}",
        # Not an output: there if the stage failed, with the reason.
        failed=f"{R}/failed/certify.{{bound}}.json",
    script:
        "../scripts/certify.py"
