"""One recipe a file."""
