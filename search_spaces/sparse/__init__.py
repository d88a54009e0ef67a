"""Sparse point-voxel networks in plain torch: geometry, operations, their ONNX form, and the wiring."""
