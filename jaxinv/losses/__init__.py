"""Terms of the objective: views, distances, priors, residuals."""
