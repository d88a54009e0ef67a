"""Published tables of results as evaluators: strategies compared in seconds."""
