"""What turns a population into metrics: shared weights, or a predictor learned from them."""
