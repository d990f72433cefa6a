"""Where images come from: `sources.open_splits` opens a specification; begin there."""
