"""The command, run in the process of the test."""

from command_helpers import command  # noqa: F401 (a fixture)
