"""How far our networks are from public implementations of them: docs/figures/sources.csv, which their pages show.

Run it with `python benchmarks/sources.py`. Weights and images are those of tests/golden, which has each source's
outputs; tests/weights/test_golden.py holds every difference to 2e-5.
"""

import csv
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "tests" / "helpers"), str(ROOT / "tests" / "weights")]

from foreign import Golden  # noqa: E402
from test_golden import CASES, difference_of  # noqa: E402

CSV = ROOT / "docs" / "figures" / "sources.csv"


def main() -> None:
    rows = []
    for name, (network, _) in sorted(CASES.items(), key=lambda case: (case[1][0], case[0])):
        golden = Golden(name)
        with tempfile.TemporaryDirectory() as folder:
            for output, difference in difference_of(name, Path(folder)).items():
                rows.append([network, source(golden.told), output, f"{difference:.1e}"])
                print(*rows[-1], flush=True)
    with CSV.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([["network", "source", "output", "difference"], *rows])


def source(told: dict[str, str]) -> str:
    """Whose implementation it is, in a few words."""
    if told["source"] != "slim":
        return f"{told['source']} {told['source_version']}, {told['model']}"
    packaged = "1.1.0" if "1.1.0" in told["source_version"] else "as of 2019"
    return f"TF-Slim {packaged}, {told['model']}"


if __name__ == "__main__":
    main()
