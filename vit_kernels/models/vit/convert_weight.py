"""python vit_kernels/models/vit/convert_weight.py --torch_path X.pth --mindspore_path Y.ckpt, as MindFormers' card has it."""

import os
import sys

if __name__ == "__main__":
    # Python puts the script's own folder first; a module there is called statistics, like one of the standard library.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

    from vit_kernels import _cli, convert

    sys.exit(_cli.run(convert.main))
