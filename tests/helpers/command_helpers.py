"""What a run of the command is to a test."""

from collections.abc import Callable

Outcome = tuple[int, str, str]
Command = Callable[..., Outcome]


def assert_one_sentence(outcome: Outcome, *words: str) -> None:
    code, out, err = outcome
    assert code == 1
    assert len(err.splitlines()) == 1, err
    assert err.startswith("keras-inception: ")
    assert "Traceback" not in out + err
    for word in words:
        assert word in err
