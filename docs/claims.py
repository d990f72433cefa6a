"""What docs/figures/claims.csv tells: a table and a picture for docs/claims.md; run it with `python docs/claims.py`.

Of each claim the arms are compared with its first one, seed by seed: the mean difference in accuracy, and its 95 %
interval by Student's t.
"""

import csv
import statistics
from itertools import groupby
from math import sqrt
from pathlib import Path

from keras_inception.plot import COLOURS, FONT, INK, PAPER, RULE, SOFT, recoloured

HERE = Path(__file__).parent
# Upper 2.5 % points of Student's t by degrees of freedom (Abramowitz and Stegun, table 26.10).
T = {4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
WORDS = {
    "heads": "auxiliary heads", "smoothing": "label smoothing", "norms": "batch norms", "factorised": "5x5 factorised",
    "residual": "residual", "multiplier": "depth multiplier", "shuffle": "shuffled channels",
}  # fmt: skip
WIDTH, ROW, LEFT, RIGHT, TOP = 760, 30, 300, 40, 40


def compared() -> list[dict[str, float | str]]:
    """Each arm but a claim's first: the difference of accuracies in points, its interval, what it costs.

    Of arms that have five seeds and more.
    """
    with (HERE / "figures" / "claims.csv").open(encoding="utf-8") as file:
        runs = list(csv.DictReader(file))
    found: list[dict[str, float | str]] = []
    for claim, of_claim in groupby(runs, key=lambda run: run["claim"]):
        arms = {
            arm: {run["seed"]: run for run in of_arm} for arm, of_arm in groupby(of_claim, key=lambda run: run["arm"])
        }
        first, *others = arms
        for arm in others:
            seeds = sorted(arms[first].keys() & arms[arm].keys())
            if len(seeds) - 1 not in T:
                continue
            pairs = [(float(arms[first][seed]["accuracy"]), float(arms[arm][seed]["accuracy"])) for seed in seeds]
            differences = [other - one for one, other in pairs]
            found.append({
                "claim": claim, "first": first, "arm": arm, "seeds": len(seeds),
                "before": statistics.fmean(pair[0] for pair in pairs),
                "after": statistics.fmean(pair[1] for pair in pairs),
                "difference": statistics.fmean(differences),
                "interval": T[len(seeds) - 1] * statistics.stdev(differences) / sqrt(len(seeds)),
                "cost": int(arms[arm][seeds[0]]["multiply_adds"]) / int(arms[first][seeds[0]]["multiply_adds"]),
            })  # fmt: skip
    return found


def table(rows: list[dict[str, float | str]]) -> list[list[str]]:
    """The rows of figures/claims_compared.csv."""
    head = ["claim", "without", "with", "accuracy without", "with it", "difference in points", "multiply-adds", "seeds"]
    return [head] + [
        [
            WORDS[str(row["claim"])], str(row["first"]), str(row["arm"]),
            f"{row['before']:.1f} %", f"{row['after']:.1f} %",
            f"{row['difference']:+.1f} ± {row['interval']:.1f}", f"{row['cost']:.2f}", str(row["seeds"]),
        ]
        for row in rows
    ]  # fmt: skip


def drawn(rows: list[dict[str, float | str]]) -> str:
    """Differences with their intervals, one under the other, as the text of an SVG file for light pages."""
    reach = max(abs(float(row["difference"])) + float(row["interval"]) for row in rows) * 1.05
    height = TOP + ROW * len(rows) + 44
    scale = (WIDTH - LEFT - RIGHT) / 2 / reach
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    step = next(step for step in (1, 2, 5, 10, 20) if reach / step <= 5)
    body = []
    for mark in range(-int(reach // step) * step, int(reach) + 1, step):
        x = middle + mark * scale
        body.append(f'<path d="M{x:.1f} {TOP - 8}V{height - 36}" stroke="{RULE if mark else INK}"/>')
        body.append(_words(x, height - 18, f"{mark:+d}" if mark else "0", SOFT, "middle"))
    body.append(
        _words(middle, 18, "points of accuracy on the test images, with the idea less without it", SOFT, "middle")
    )
    for place, row in enumerate(rows):
        y = TOP + ROW * place + ROW / 2
        difference, interval = float(row["difference"]), float(row["interval"])
        colour = COLOURS[2] if difference > interval else COLOURS[5] if difference < -interval else SOFT
        body.append(_words(LEFT - 14, y + 4, f"{WORDS[str(row['claim'])]}: {row['arm']}", INK, "end"))
        ends = [middle + (difference + side * interval) * scale for side in (-1, 1)]
        body.append(f'<path d="M{ends[0]:.1f} {y}H{ends[1]:.1f}" stroke="{colour}" stroke-width="3"/>')
        body.append(f'<circle cx="{middle + difference * scale:.1f}" cy="{y}" r="5.5" fill="{colour}"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="{FONT}"><title>What each idea of the papers changes in accuracy, with 95 % intervals</title>'
        f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _words(x: float, y: float, words: str, colour: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="13" fill="{colour}" text-anchor="{anchor}">{words}</text>'


if __name__ == "__main__":
    rows = compared()
    with (HERE / "figures" / "claims_compared.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(table(rows))
    light = drawn(rows)
    (HERE / "pictures" / "claims-light.svg").write_text(light, encoding="utf-8")
    (HERE / "pictures" / "claims-dark.svg").write_text(recoloured(light), encoding="utf-8")
