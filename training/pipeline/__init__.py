"""From images to batches: `training.training_batches` to train on, `preparing.evaluation_batches` to look at."""
