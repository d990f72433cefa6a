"""report.html of a search: what was tried, what came of it and what it costs, on one page that needs no network."""

import dataclasses
import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files import write_text
from ..report.page import as_text, render, settings_rows
from . import figures
from .outcomes import (
    BEYOND,
    COSTS,
    Goal,
    Outcome,
    differing,
    duration,
    known_costs,
    pairs,
    pareto_front,
    plain,
    searched,
    show,
    text,
    verdict,
    why,
)
from .settings import SearchPlan

REPORT = "report.html"
LEADERS = 5
"""Trials whose curves have colours of their own."""
COLUMNS = 7
"""Hyperparameters that have columns of their own in the table of trials; more share one."""
_KINDS = {"completed": "right", "rejected": "muted", BEYOND: "late"}


@as_text()
def write_report(
    folder: Path, plan: SearchPlan, outcomes: Sequence[Outcome], histories: Mapping[str, list[dict[str, float]]]
) -> Path:
    """Writes the report of a search, finished or not.

    Args:
        folder: the search's folder.
        plan: what is searched.
        outcomes: what became of the trials, in the order in which they began.
        histories: the epochs' rows of each trial that was trained, as in its history.csv.

    Returns:
        The report's path.
    """
    goal = plan.search.goal
    best = goal.best(outcomes)
    ranked = sorted(outcomes, key=lambda o: (o == best, goal.score(o)), reverse=True)
    completed = [o for o in outcomes if o.status == "completed"]
    varying = differing(o.values for o in outcomes)
    first = searched(outcomes[0].values) if outcomes else {}
    page = render(
        "search.html.jinja",
        title=folder.resolve().name,
        plan=plan,
        goal=goal,
        objective=goal.name,
        searches=_searches(plan, varying or list(first)),
        limits=_limits(goal),
        tiles=_tiles(goal, outcomes, best),
        best=best,
        best_values=[(name, text(value)) for name, value in searched(best.values).items()] if best else [],
        best_figures=_figures(best) if best else [],
        nearest=_nearest(goal, completed),
        commands=[
            shlex.join(["keras-inception", "tune", "--best", str(folder)]),
            shlex.join(["keras-inception", "train", "--recipe", str(folder / "best.json")]),
        ],
        completed=len(completed),
        strips=figures.parallel_coordinates(outcomes, goal, best),
        fronts=_fronts(goal, completed, best),
        courses=_courses(goal, outcomes, ranked, histories),
        table=_table(goal, ranked, varying),
        alike=[(name, text(value)) for name, value in first.items() if name not in varying],
        search_settings=settings_rows(dataclasses.asdict(plan.search) | {"search": " ".join(plan.search.search)}),
        recipe_settings=settings_rows(json.loads(plan.recipe.to_json())),
    )
    path = folder / REPORT
    write_text(path, page)
    return path


def _searches(plan: SearchPlan, names: Sequence[str]) -> str:
    """What is searched, in words: as it was asked for, else as the trials show it."""
    asked = [entry.partition("=")[0] for entry in plan.search.search]
    chosen = asked or list(names)
    more = f" and {len(chosen) - 8} more" if len(chosen) > 8 else ""
    return ", ".join(chosen[:8]) + more


def _limits(goal: Goal) -> list[str]:
    """Limits and weights in words."""
    limits = [
        f"{plain(name)} at {'least' if name == 'accuracy' else 'most'} {show(name, bound)}"
        for name, bound in goal.limits.items()
    ]
    weights = []
    for name, weight in goal.weights.items():
        unit = COSTS[name][0]
        more = f"million {plain(name)}" if unit == "M" else f"{unit} of {plain(name)}"
        weights.append(f"each {more} takes {100 * weight:.4g} % off")
    return limits + weights


def _tiles(goal: Goal, outcomes: Sequence[Outcome], best: Outcome | None) -> list[tuple[str, str]]:
    """What stands out, the best value first, as (figure, caption)."""
    label = goal.name
    tiles = [(show(goal.objective, goal.figure(best)) if best else "none", f"best {label}")]
    if best and label != "accuracy":
        tiles.append((show("accuracy", best.accuracy or 0.0), "its accuracy"))
    counts = Counter(verdict(goal, outcome) for outcome in outcomes)
    good, beyond, rejected = counts.pop("completed", 0), counts.pop(BEYOND, 0), counts.pop("rejected", 0)
    tiles.append((str(good + beyond), "trials completed" + (f", {beyond} beyond a limit" if beyond else "")))
    tiles.append((str(rejected), "rejected untrained"))
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    tiles.append((str(counts.total()), f"failed: {kinds}" if kinds else "failed"))
    tiles.append((duration(sum(o.seconds for o in outcomes)), "of work, all trials together"))
    return tiles


def _figures(outcome: Outcome) -> list[tuple[str, str]]:
    """A completed trial's figures with their units."""
    known = {name: getattr(outcome, name) for name in ("accuracy", "loss", *COSTS)}
    shown = [(plain(name), show(name, value)) for name, value in known.items() if value is not None]
    return [*shown, ("epochs", str(outcome.epochs)), ("time", duration(outcome.seconds))]


def _nearest(goal: Goal, completed: Sequence[Outcome]) -> str:
    """Where trials were completed and none within the limits: what the nearest one lacks."""
    near = min(completed, key=lambda o: goal.violation(o)[0], default=None)
    return f"Trial {near.trial} comes nearest: {why(goal, near)}" if near and not goal.meets(near) else ""


def _fronts(goal: Goal, completed: Sequence[Outcome], best: Outcome | None) -> dict[str, Any]:
    """Accuracy against each cost that trials have: the drawings, and the trials on any front as rows."""
    costs = known_costs(completed)
    on = {cost: {o.trial for o in pareto_front(completed, cost)} for cost in costs}
    members = [o for o in completed if any(o.trial in front for front in on.values())]
    varying = differing(o.values for o in completed)
    rows = []
    for outcome in sorted(members, key=lambda o: o.accuracy or 0.0, reverse=True):
        known = {cost: getattr(outcome, cost) for cost in costs}
        rows.append(
            {
                "trial": outcome.trial,
                "best": outcome == best,
                "beyond": not goal.meets(outcome),
                "accuracy": show("accuracy", outcome.accuracy or 0.0),
                "costs": [
                    ("–" if value is None else show(cost, value), outcome.trial in on[cost])
                    for cost, value in known.items()
                ],
                "varying": pairs({name: value for name, value in searched(outcome.values).items() if name in varying}),
            }
        )
    drawings = [figures.front(completed, cost, goal, best) for cost in costs]
    return {"drawings": drawings, "costs": [plain(cost) for cost in costs], "rows": rows}


def _courses(
    goal: Goal,
    outcomes: Sequence[Outcome],
    ranked: Sequence[Outcome],
    histories: Mapping[str, list[dict[str, float]]],
) -> list[tuple[str, str]]:
    """How the search and its trials went, as (drawing, what it shows)."""
    drawn = []
    if any(o.status == "completed" for o in outcomes):
        hollow = " (hollow: beyond a limit)" if goal.limits else ""
        words = f"Dots: completed trials{hollow}. Crosses: failed (red), rejected (grey). Line: the best so far."
        drawn.append((figures.progress(outcomes, goal), words))
    curves = {trial: rows for trial, rows in histories.items() if any(figures.ACCURACY in row for row in rows)}
    if curves:
        leaders = [o.trial for o in ranked if o.status == "completed" and o.trial in curves][:LEADERS]
        words = "Every trial that was trained; the best ones in colours, in their order."
        drawn.append((figures.accuracy_curves(curves, leaders), words))
    return drawn


def _table(goal: Goal, ranked: Sequence[Outcome], varying: Sequence[str]) -> dict[str, Any]:
    """All trials: columns as (name, whether numbers), rows as cells, with the reason where a trial does not count."""
    figures_shown = [name for name in ("accuracy", "loss") if any(getattr(o, name) is not None for o in ranked)]
    figures_shown += known_costs(ranked)
    apart = len(varying) <= COLUMNS
    rows = []
    for outcome in ranked:
        values = searched(outcome.values)
        measures = {name: getattr(outcome, name) for name in figures_shown}
        cells = [show(name, value) if value is not None else "–" for name, value in measures.items()]
        cells += [str(outcome.epochs or "–"), duration(outcome.seconds) if outcome.seconds else "–"]
        named = {name: values[name] for name in varying if name in values}
        each = [text(named[name]) if name in named else "–" for name in varying]
        word = verdict(goal, outcome)
        rows.append(
            {
                "trial": outcome.trial,
                "outcome": word,
                "kind": _KINDS.get(word, "wrong"),
                "cells": cells,
                "varying": each if apart else [pairs(named)],
                "reason": why(goal, outcome),
            }
        )
    return {
        "figures": [*map(plain, figures_shown), "epochs", "time"],
        "varying": list(varying) if apart else ["values"],
        "apart": apart,
        "rows": rows,
    }
