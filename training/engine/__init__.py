"""What a training does: network, objective, optimizer, the step, the loop over it, what is saved meanwhile."""
