"""Who gets which examples: a rule each, which sees labels and owners, not inputs."""
