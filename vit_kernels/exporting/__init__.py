"""Models as files that other runtimes execute: MINDIR through MindSpore, ONNX from the configuration and the weights."""

from __future__ import annotations

# The input: (batch, channels, height, width) float32, normalised.
INPUT = "images"
# What a file can return, all float32.
OUTPUTS = {
    "logits": "(batch, classes), of the classifier",
    "features": "(batch, width), pooled: what goes into the classifier",
    "tokens": "(batch, tokens, width), of forward_features: class token, registers, patches",
}
