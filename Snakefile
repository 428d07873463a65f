# From an experiment file to results: generate -> train -> search -> certify -> aggregate.
#
#   snakemake                                   the main job (workflow/config/default.yaml)
#   snakemake --configfile FILE [OVERLAY ...]   another experiment; later files overlay earlier ones
#   snakemake -n                                what would run, and why
#   snakemake -R train                          rerun one stage and what depends on it
#   snakemake --profile slurm                   the same on a cluster
from snakemake.utils import min_version

min_version("9.27")


container: "docker://python:3.11-slim"


# Used unless the command line names experiment files itself.
if not workflow.overwrite_configfiles:

    configfile: f"{workflow.basedir}/workflow/config/default.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/generate.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/search.smk"
include: "workflow/rules/certify.smk"
include: "workflow/rules/aggregate.smk"


localrules:
    all,


rule all:
    default_target: True
    input:
        lambda wildcards: everything(),
        rules.aggregate.output,


# Not reached by a dry run.
onstart:
    check_cluster()
    write_down_the_start()


onsuccess:
    print(closing_table())


# With --keep-going, after all that does not need what failed.
onerror:
    report_what_there_is()
