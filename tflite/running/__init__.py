"""What is run: exported files as functions of pixels, pictures to named classes, and latency."""
