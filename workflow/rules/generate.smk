# datasets.<name> -> data/<name>.zarr: Dask tasks or MPI ranks, each writing whole shards.


rule generate:
    output:
        # zarr.json carries `complete: true`: the last write of a store, so the one to track.
        store="data/{dataset}.zarr/zarr.json",
        record="data/{dataset}.run.json",
    log:
        "logs/generate/{dataset}.log",
    benchmark:
        "logs/benchmark/generate/{dataset}.tsv"
    wildcard_constraints:
        # All other names, unknown ones too: the params then name the mistake.
        dataset=rf"(?!(?:{flows()})\.){NAME_PATTERN}",
    # The number of workers is threads x tasks: on SLURM, one task for each node.
    threads: 2
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        config=stage_config("datasets", "dataset"),
        source=stage_source("datasets", "dataset"),
        seed=lambda wildcards: named_part("datasets", wildcards.dataset).seed,
        # Not an output: there if the stage failed, with the reason.
        failed="data/{dataset}.failed.json",
    script:
        "../scripts/generate.py"


# A flow: MPI ranks, each writing its own slab of every snapshot.
rule simulate:
    output:
        store="data/{dataset}.zarr/zarr.json",
        record="data/{dataset}.run.json",
    log:
        "logs/generate/{dataset}.log",
    benchmark:
        "logs/benchmark/generate/{dataset}.tsv"
    wildcard_constraints:
        dataset=flows(),
    # A local run counts threads; on SLURM the ranks are tasks of one core each.
    threads: num_ranks
    resources:
        # The slurm profile sets "srun --mpi=pmix".
        mpi="mpirun",
        tasks=num_ranks,
        cpus_per_task=1,
        mem_mb=3000,
        runtime=60,
    params:
        config=stage_config("datasets", "dataset"),
        source=stage_source("datasets", "dataset"),
        seed=lambda wildcards: named_part("datasets", wildcards.dataset).seed,
        # Not an output: there if the stage failed, with the reason.
        failed="data/{dataset}.failed.json",
    script:
        "../scripts/simulate.py"
