"""Where data sets come from: a reader each, and their catalogue and cache."""
