"""Damaged files of every container that the project reads.

Each is refused with one of the project's errors in one sentence, or read with the right shapes; in less than ten
seconds and 500 MB beyond the file; and nothing damaged is loaded as if nothing were where the container has a checksum
(`mutations/containers.py` says which have). Without one a flipped bit inside raw numbers, pixels or texts cannot be
noticed: such files are counted apart, as changed. What only writes a container's checksums anew is no damage to them.
"""

from collections import Counter

import pytest
from mutations.containers import CONTAINERS
from mutations.runner import CHANGED, FAILED, REFUSED, UNCHANGED, Outcome, run_apart, run_here
from repeats import REPEATS

A_FEW = 8
MANY = 20 * REPEATS  # a container: 10,000 in all in `nox -s proofs`


def check(outcomes: list[Outcome], count: int) -> None:
    """Fails with the seed of each file that broke a rule, by which it can be made again."""
    assert len(outcomes) == count
    failed = [f"seed {o.seed}, {o.mutator}: {o.detail}" for o in outcomes if o.verdict == FAILED]
    assert not failed, "\n".join(failed)


@pytest.fixture(params=CONTAINERS)
def made(request, tmp_path):
    """The name of a container, and a folder with a valid one."""
    CONTAINERS[request.param].make(tmp_path)
    return request.param, tmp_path


def test_a_few_damaged_files(made):
    run = run_apart if CONTAINERS[made[0]].apart else run_here
    check(list(run(*made, first=0, count=A_FEW)), A_FEW)


@pytest.mark.proof
def test_many_damaged_files(made):
    outcomes = run_apart(*made, first=A_FEW, count=MANY)
    kinds = Counter(outcome.verdict for outcome in outcomes)
    print(
        f"{made[0]}: {MANY} damaged, {kinds[REFUSED]} refused, {kinds[CHANGED]} read as something else, "
        f"{kinds[UNCHANGED]} as before, {max(o.seconds for o in outcomes)} s, {max(o.megabytes for o in outcomes)} MB"
    )
    check(outcomes, MANY)
