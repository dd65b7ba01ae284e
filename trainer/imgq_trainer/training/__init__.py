"""Training: a labelled folder into a model's artifact, with its evaluation and its report."""
