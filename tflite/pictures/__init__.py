"""Pictures as arrays: any picture made to fit a network's input, and batches of pixels checked."""
