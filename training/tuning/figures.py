"""What the report of a search draws: parallel coordinates, fronts, progress and curves, as SVG text."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Line
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from ..report.page import COLOURS, INK, MUTED, chart, svg
from .outcomes import COSTS, Goal, Outcome, differing, known_costs, pareto_front, plain, searched, show, text

TRIAL, BEST = COLOURS[0], COLOURS[1]
FAILED = "#c2262e"
CURVE_COLOURS = (BEST, *(colour for colour in COLOURS if colour != BEST))
AXES_IN_STRIP = 8
ACCURACY = "val_predictions_accuracy"
_RAMP = LinearSegmentedColormap.from_list("rank", ["#dbe3ec", "#93b4ea", "#2563eb", "#172554"])
_LOG_FROM = 8  # values whose largest is this many times their smallest are laid out by their logarithm
_LONGEST, _MOST_LABELS = 16, 16
_ABSENT = -0.13
_HALO = [withStroke(linewidth=3, foreground="white")]


@dataclass(frozen=True)
class _Axis:
    """One axis of parallel coordinates: its name, where each trial meets it (0..1), and its labels."""

    name: str
    heights: list[float]
    labels: list[tuple[float, str]]


def units(name: str) -> tuple[float, str]:
    """What a figure is multiplied by to be read on an axis, and the axis' name with its unit."""
    if name == "accuracy":
        return 100.0, "accuracy, %"
    unit = COSTS.get(name, ("",))[0]
    return 1e-6 if unit == "M" else 1.0, f"{plain(name)}, {unit}" if unit else name


def objective(goal: Goal) -> tuple[float, str]:
    """Likewise for what a search is after; `Goal.figure` is its figure."""
    factor, label = units(goal.objective)
    return factor, label.replace("accuracy", "accuracy less costs") if goal.weights else label


def parallel_coordinates(outcomes: Sequence[Outcome], goal: Goal, best: Outcome | None) -> list[tuple[str, int]]:
    """Draws completed trials as lines over their hyperparameters and figures, in strips that each end with the aim.

    Returns:
        The strips as (SVG, number of axes); none where there is nothing to compare.
    """
    trials = sorted((o for o in outcomes if o.status == "completed"), key=goal.score)
    names = differing(trial.values for trial in trials)
    ranks = np.linspace(0, 1, len(trials))
    axes = []
    for name in names:
        rows = [searched(trial.values) for trial in trials]
        axes.append(_axis(name, [row.get(name) for row in rows], [name in row for row in rows], ranks))
    figures = [name for name in ("accuracy", *known_costs(trials)) if name != goal.objective or goal.weights]
    for name in figures:
        factor, label = units(name)
        values = [getattr(trial, name) for trial in trials]
        if len(set(values)) > 1:
            scaled = [None if value is None else factor * value for value in values]
            axes.append(_figure_axis(name, label, scaled, ranks))
    if not axes:
        return []
    factor, label = objective(goal)
    last = _figure_axis(goal.objective, label, [factor * goal.figure(trial) for trial in trials], ranks)
    strips = -(-len(axes) // AXES_IN_STRIP)
    share = -(-len(axes) // strips)
    groups = [axes[i : i + share] for i in range(0, len(axes), share)]
    return [(_strip([*group, last], trials.index(best) if best in trials else -1), len(group) + 1) for group in groups]


def _figure_axis(name: str, label: str, values: Sequence[float | None], ranks: np.ndarray) -> _Axis:
    """An axis of figures; accuracies far below the others share one place under it."""
    known = [value for value in values if value is not None]
    floor = _floor(known, [max(known)]) if name == "accuracy" else -math.inf
    present = [value is not None and value >= floor for value in values]
    return _axis(label, values, present, ranks, "unknown" if len(known) < len(values) else "lower")


def _axis(
    name: str, values: Sequence[Any], present: Sequence[bool], ranks: np.ndarray, absent: str = "not used"
) -> _Axis:
    known = [value for value, there in zip(values, present, strict=True) if there]
    if all(isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) for value in known):
        labels = _numbers(known)
        heights = [_height(value, known) if there else _ABSENT for value, there in zip(values, present, strict=True)]
    else:
        members: dict[str, list[int]] = {}
        for i, value in enumerate(values):
            if present[i]:
                members.setdefault(text(value), []).append(i)
        order = sorted(members, key=lambda level: float(np.mean(ranks[members[level]])))
        heights = [_ABSENT] * len(values)
        every = -(-len(order) // _MOST_LABELS)
        labels = []
        for place, level in enumerate(order):
            centre = place / (len(order) - 1) if len(order) > 1 else 0.5
            room = min(0.035, 0.3 / len(order))  # trials of one level side by side, so that each line can be followed
            for i, shift in zip(members[level], np.linspace(-room, room, len(members[level]) + 2)[1:-1], strict=True):
                heights[i] = centre + shift
            if place % every == 0:
                labels.append((centre, level if len(level) <= _LONGEST else level[: _LONGEST - 1] + "…"))
    if not all(present):
        labels.append((_ABSENT, absent))
    return _Axis(name, heights, labels)


def _height(value: float, known: Sequence[float]) -> float:
    low, high = min(known), max(known)
    if low == high:
        return 0.5
    if _by_logarithm(known):
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _by_logarithm(known: Sequence[float]) -> bool:
    return min(known) > 0 and max(known) / min(known) >= _LOG_FROM


def _numbers(known: Sequence[float]) -> list[tuple[float, str]]:
    """Labels of an axis of numbers: the values themselves where they are few and lie apart, else round ones."""
    chosen = sorted(set(known))
    heights = [_height(value, known) for value in chosen]
    if len(chosen) > 7 or any(above - below < 0.07 for below, above in pairwise(heights)):
        low, high = chosen[0], chosen[-1]
        if _by_logarithm(known):
            decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            steps = (1, 3) if high / low < 1e4 else (1,)
            ticks = [step * 10.0**decade for decade in decades for step in steps]
        else:
            ticks = list(MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high))
        chosen = [tick for tick in ticks if low <= tick <= high]
    return [(_height(value, known), f"{value:.4g}") for value in chosen]


def _wrapped(name: str) -> str:
    """A hyperparameter's name on lines of no more than sixteen characters, broken where its parts meet."""
    parts = "".join(mark + "\n" if mark in "_./ " else mark for mark in name).split("\n")
    parts = [part[i : i + _LONGEST] for part in parts for i in range(0, len(part), _LONGEST)]
    lines = [""]
    for part in parts:
        if len(lines[-1]) + len(part) > _LONGEST:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _strip(axes: Sequence[_Axis], best: int) -> str:
    """Draws axes side by side; trials lie from the worst to the best, and so do their lines' colours."""
    bottom = min(-0.05, *(height for axis in axes for height in axis.heights)) - 0.04
    top = 1.13 + 0.05 * max(_wrapped(axis.name).count("\n") + 1 for axis in axes)
    figure = Figure(figsize=(1.3 * (len(axes) + 0.5), 2.9 * (top - bottom)))
    area = figure.add_axes((0, 0, 1, 1))
    area.set_axis_off()
    area.set_xlim(-1.05, len(axes) - 0.55)
    area.set_ylim(bottom, top)
    trials = len(axes[0].heights)
    for trial in range(trials):
        chosen = trial == best
        heights = [axis.heights[trial] for axis in axes]
        points, codes = [(0.0, heights[0])], [Line.MOVETO]
        for i, (here, there) in enumerate(pairwise(heights)):
            points += [(i + 0.45, here), (i + 0.55, there), (i + 1.0, there)]
            codes += [Line.CURVE4] * 3
        colour = BEST if chosen else _RAMP(trial / max(trials - 1, 1))
        style: dict[str, Any] = {"lw": 3.2, "zorder": 6} if chosen else {"lw": 1.4, "alpha": 0.8, "zorder": 2}
        area.add_patch(PathPatch(Line(points, codes), fill=False, edgecolor=colour, capstyle="round", **style))
        if chosen:
            area.plot(range(len(axes)), heights, ls="", marker="o", ms=5.5, mfc=BEST, mec="white", zorder=7)
    for x, axis in enumerate(axes):
        final = x == len(axes) - 1
        area.plot([x, x], [-0.02, 1.02], color=INK if final else MUTED, lw=1.6 if final else 0.9, zorder=3)
        for height, label in axis.labels:
            area.plot([x - 0.03, x], [height, height], color=MUTED, lw=0.9, zorder=3)
            area.text(
                x - 0.06, height, label, ha="right", va="center", fontsize=8.5, color=INK, zorder=8,
                path_effects=_HALO, parse_math=False,
            )  # fmt: skip
        area.text(
            x, 1.09, _wrapped(axis.name), ha="center", va="bottom", fontsize=8.5, color=INK if final else MUTED,
            fontweight="bold", parse_math=False,
        )  # fmt: skip
    return svg(figure)


def front(outcomes: Sequence[Outcome], cost: str, goal: Goal, best: Outcome | None) -> str:
    """Draws accuracy against a cost: the Pareto front as a step, limits dashed, trials beyond a limit hollow."""
    trials = [o for o in outcomes if o.status == "completed" and getattr(o, cost) is not None]
    factor, label = units(cost)
    figure, axes = chart(f"Accuracy against {label.split(',')[0]}", label, "accuracy, %", pad=20)
    best_of_all = pareto_front(outcomes, cost)
    places = {o.trial: (factor * getattr(o, cost), 100 * (o.accuracy or 0.0)) for o in trials}
    costs, accuracies = (list(values) for values in zip(*places.values(), strict=True))
    x, y = zip(*(places[o.trial] for o in best_of_all), strict=True)
    limit = goal.limits.get(cost)
    spread = [*costs, factor * limit] if limit is not None and factor * limit < 1.5 * max(costs) else costs
    _fit_x(axes, spread)
    floor, ceiling = _fit_y(axes, accuracies, y)
    axes.plot([x[0], *x, axes.get_xlim()[1]], [floor, *y, y[-1]], drawstyle="steps-post", color=MUTED, lw=1.3, zorder=2)
    for outcome in trials:
        at, height = places[outcome.trial]
        below = height < floor
        chosen = outcome == best
        colour = BEST if chosen else TRIAL
        axes.plot(
            at, floor + 0.02 * (ceiling - floor) if below else height, ls="", marker="v" if below else "o",
            ms=8 if chosen else 5.5, color=colour, mfc=colour if goal.meets(outcome) else "white",
            zorder=5 if chosen else 4, clip_on=False,
        )  # fmt: skip
    if hidden := sum(height < floor for height in accuracies):
        note = f"{hidden} below {floor:.1f} %"
        axes.text(0.99, 0.06, note, transform=axes.transAxes, ha="right", fontsize=8, color=MUTED, path_effects=_HALO)
    _name_points(axes, [(o.trial, *places[o.trial]) for o in best_of_all])
    _draw_limits(axes, goal, cost)
    return svg(figure)


def progress(outcomes: Sequence[Outcome], goal: Goal) -> str:
    """Draws what each trial came to, in their order, and the best of those before it."""
    factor, label = objective(goal)
    figure, axes = chart("What trials came to", "trial, in the order they began", label, pad=20)
    numbers = dict(zip((o.trial for o in outcomes), range(1, len(outcomes) + 1), strict=True))
    done = [o for o in outcomes if o.status == "completed"]
    values = [factor * goal.figure(o) for o in done]
    floor, ceiling = _fit_y(axes, values, [max(values)] if goal.objective == "accuracy" else [])
    for outcome, value in zip(done, values, strict=True):
        axes.plot(
            numbers[outcome.trial], max(value, floor + 0.02 * (ceiling - floor)), ls="", ms=5, color=TRIAL,
            marker="o" if value >= floor else "v", mfc=TRIAL if goal.meets(outcome) else "white", clip_on=False,
        )  # fmt: skip
    for outcome in outcomes:
        if outcome.status != "completed":
            colour = MUTED if outcome.status == "rejected" else FAILED
            axes.plot(numbers[outcome.trial], floor, ls="", marker="x", ms=5, color=colour, clip_on=False, zorder=4)
    steps = [(numbers[o.trial], factor * goal.figure(o)) for o in done if goal.meets(o)]
    if steps:
        pick = max if goal.objective == "accuracy" else min
        so_far = [pick(value for _, value in steps[: i + 1]) for i in range(len(steps))]
        x = [*(at for at, _ in steps), len(outcomes) + 0.5]
        axes.plot(x, [*so_far, so_far[-1]], drawstyle="steps-post", color=BEST, lw=1.8, zorder=1)
    axes.set_xlim(0.5, len(outcomes) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return svg(figure)


def accuracy_curves(histories: Mapping[str, Sequence[Mapping[str, float]]], leaders: Sequence[str]) -> str:
    """Draws validation accuracy by epoch; the leaders, best first, have colours of their own.

    Args:
        histories: epochs' rows by trial.
        leaders: trials to tell apart; no more than five.
    """
    figure, axes = chart("Validation accuracy", "epoch", "accuracy, %", pad=20)
    order = [trial for trial in histories if trial not in leaders] + [t for t in reversed(leaders) if t in histories]
    handles = {}
    for trial in order:
        rows = [row for row in histories[trial] if ACCURACY in row and math.isfinite(row[ACCURACY])]
        if not rows:
            continue
        leads = trial in leaders
        (handles[trial],) = axes.plot(
            [row["epoch"] for row in rows], [100 * row[ACCURACY] for row in rows],
            color=CURVE_COLOURS[leaders.index(trial)] if leads else "#c3ccd6", lw=2 if leads else 1,
            alpha=1 if leads else 0.8, marker="o" if len(rows) == 1 else "", ms=4, zorder=3 if leads else 2,
        )  # fmt: skip
    shown = [trial for trial in leaders if trial in handles]
    if shown:
        lines = [handles[trial] for trial in shown]
        axes.legend(lines, shown, frameon=False, fontsize=8, labelcolor=INK, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return svg(figure)


def _fit_x(axes: Any, values: Sequence[float]) -> None:
    """Fits an axis of costs, with room on its left for the name of the cheapest trial."""
    low, high = min(values), max(values)
    if _by_logarithm(values):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if high / low < 1e4 else (1,)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        margin = (high / low) ** 0.06
        axes.set_xlim(low / margin**2, high * margin)
    else:
        margin = 0.06 * (high - low) or 0.1 * high or 1.0
        axes.set_xlim(low - 2 * margin, high + margin)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.4g}")


def _fit_y(axes: Any, values: Sequence[float], needed: Sequence[float] = ()) -> tuple[float, float]:
    """Fits an axis to its values; one of accuracies to what matters: see `_floor`."""
    low, high = _floor(values, needed) if needed else min(values, default=0.0), max(values, default=1.0)
    margin = 0.08 * (high - low) or (1.0 if needed else 0.1 * high or 1.0)
    axes.set_ylim(low - margin, high + margin)
    return low - margin, high + margin


def _floor(values: Sequence[float], needed: Sequence[float]) -> float:
    """Where an axis of accuracies begins, so that a trial far below the others does not press them together."""
    first, third = np.percentile(values, [25, 75])
    return float(max(min(values), min(*needed, first - 1.5 * max(third - first, 1.0))))


def _name_points(axes: Any, points: Sequence[tuple[str, float, float]]) -> None:
    """Names a front's trials above and left of them, where no trial can be; where names would touch, one stays."""
    taken: list[tuple[float, float]] = []
    for name, x, y in sorted(points, key=lambda point: -point[2]):
        at, height = axes.transData.transform((x, y))
        if any(abs(at - other) < 40 and abs(height - level) < 12 for other, level in taken):
            continue
        taken.append((at, height))
        axes.annotate(
            name, (x, y), (-4, 4), textcoords="offset points", ha="right", va="bottom", fontsize=8, color=INK,
            path_effects=_HALO, zorder=6,
        )  # fmt: skip


def _draw_limits(axes: Any, goal: Goal, cost: str) -> None:
    style = {"color": FAILED, "lw": 1, "ls": (0, (5, 3)), "zorder": 1}
    words = {"fontsize": 8, "color": FAILED}
    limit = goal.limits.get(cost)
    if limit is not None:
        at = units(cost)[0] * limit
        if at <= axes.get_xlim()[1]:
            axes.axvline(at, **style)
            axes.text(
                at, 1.01, f"at most {show(cost, limit)}", transform=axes.get_xaxis_transform(), ha="right", **words
            )
        else:
            axes.text(1, 1.01, f"at most {show(cost, limit)} →", transform=axes.transAxes, ha="right", **words)
    least = goal.limits.get("accuracy")
    if least is not None and axes.get_ylim()[0] < 100 * least < axes.get_ylim()[1]:
        axes.axhline(100 * least, **style)
        axes.text(1, 100 * least, f"at least {show('accuracy', least)}", transform=axes.get_yaxis_transform(),
                  ha="right", va="bottom", **words)  # fmt: skip
