"""Run folders: `run.Run` reads one, `folder` makes and finishes one."""
