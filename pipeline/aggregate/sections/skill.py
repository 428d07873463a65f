"""How much better than the best without learning each run is."""

from matplotlib.figure import Figure

from pipeline.aggregate.figures.figure import COLOURS, INK, finish, log_axis, panels, style, svg
from pipeline.aggregate.read.quantities import short
from pipeline.aggregate.read.results import Results
from pipeline.aggregate.sections.base import Row

NAME, LINK = "skill", None


def build(results: Results) -> Row | None:
    """Return the chart, if any run has a skill."""
    figure = skill_chart(results)
    return {"figure": svg(figure, "skill")} if figure else None


def skill_chart(results: Results) -> Figure | None:
    """Draw the skill of every run that has one as a bar from 1, or return None without any."""
    runs = [run for run in results.runs if "skill" in run.record["summary"]]
    if not runs:
        return None
    skills = [float(run.record["summary"]["skill"]) for run in runs]
    with style():
        figure, axes = panels(1, 1, 0.75 + 0.32 * len(runs))
        panel = axes[0, 0]
        # From 1, where a run is as good as no learning: shorter bars to the left are worse.
        panel.barh(range(len(runs)), [s - 1 for s in skills], left=1, color=COLOURS[0], height=0.55)
        for row, skill in enumerate(skills):
            panel.annotate(
                short(skill), (max(skill, 1), row), (5, 0), textcoords="offset points", va="center"
            )
        log_axis(panel.xaxis, [*skills, 1, 2 * max(skills)])
        panel.set_xlim(min(0.8, 0.8 * min(skills)), 1.35 * max(*skills, 2))
        panel.axvline(1, color=INK, linewidth=1)
        panel.set_yticks(range(len(runs)), [run.name for run in runs])
        # The first run on top, as in the tables.
        panel.set_ylim(len(runs) - 0.5, -0.5)
        panel.grid(axis="y", visible=False)
        finish(panel, xlabel="skill = least error without learning / error of the run")
    return figure
