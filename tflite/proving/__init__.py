"""The proof that exported files are the trained network: limits, what is measured, and the verdict."""
