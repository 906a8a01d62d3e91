"""What the Ascend C kernels have to hold on, the same for all of them: the Vision Transformers' widths, token counts, batches."""

WIDTHS = {"ti": 192, "s": 384, "b": 768, "l": 1024, "h": 1280}
HEADS = {"ti": (3, 64), "s": (6, 64), "b": (12, 64), "l": (16, 64), "h": (16, 80)}  # heads, head_dim
TOKENS = (1, 50, 197, 257, 577, 1025)
BATCHES = (1, 3, 8)
