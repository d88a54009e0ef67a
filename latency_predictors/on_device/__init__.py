"""What measures on the device itself, with nothing but Python 3.8, NumPy and onnxruntime.

The project measures with it here. `latency_predictors.kit.folder` packs it, as one file, for devices where nothing
else of the project is; so it imports nothing else of the project.
"""
