"""hashrec: a recommendation service whose whole model is binary codes."""
