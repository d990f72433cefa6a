"""What a run of the command is to a test."""

from collections.abc import Callable

import pytest

from keras_inception.cli import main

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


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command in this process, for a terminal wide enough for every table: exit code, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run
