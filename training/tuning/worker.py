"""A chief or worker of a search on this machine: `python -m keras_inception.training.tuning.worker FOLDER THREADS`."""

import sys

from ..signals import raising_at_sigterm
from .processes import end_with_parent


def main(folder: str, threads: str) -> int:
    """Does this process's part in a search; 1 and a sentence on stderr where it cannot."""
    end_with_parent()
    from .search import Search, take_part

    try:
        with raising_at_sigterm():
            take_part(Search.open(folder), int(threads), lambda: None)
    except (ValueError, OSError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
