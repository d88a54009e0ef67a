"""The blocks that networks are made of, one file a family."""
