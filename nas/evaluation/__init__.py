"""What turns a population into metrics: shared weights, a predictor learned from them, short trainings, proxies."""
