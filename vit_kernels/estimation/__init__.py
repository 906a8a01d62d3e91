"""What the Ascend C kernels would cost on an NPU, by the twin's time model. Estimates, never measurements."""
