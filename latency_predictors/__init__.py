"""What a network costs on a device: measured, tabulated, predicted."""
