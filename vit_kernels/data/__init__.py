"""Images and labels: data sets, decoding, transforms, and the loader that makes batches of them.

Everything here is NumPy and Pillow; MindSpore enters only where a batch becomes a tensor, in `vit_kernels.training`.
"""

from vit_kernels.data.datasets import load_dataset
from vit_kernels.data.decode import open_image
from vit_kernels.data.images import ArrayImages, FileImages, ImageDataset
from vit_kernels.data.loader import Batch, Loader
from vit_kernels.data.preprocessing import Preprocessing

__all__ = ["ArrayImages", "Batch", "FileImages", "ImageDataset", "Loader", "Preprocessing", "load_dataset", "open_image"]
