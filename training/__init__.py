"""Training of the networks: recipes, pipeline, objective, run folders."""
