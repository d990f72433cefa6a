"""What tests of exported files share."""

import os
import shutil
import subprocess
import sys

import pytest


@pytest.fixture
def mediapipe_python() -> str:
    """A Python that has mediapipe, which may live in an environment of its own; the test is skipped without."""
    python = os.environ.get("MEDIAPIPE_PYTHON", sys.executable)
    if (
        shutil.which(python) is None
        or subprocess.run([python, "-c", "import mediapipe"], capture_output=True).returncode
    ):
        pytest.skip("mediapipe is not installed: name a Python that has it in MEDIAPIPE_PYTHON")
    return python
