"""python run_mindformer.py --config configs/vit/run_vit_base_p16_224_100ep.yaml --run_mode train|finetune|eval|predict"""

import os
import sys

from vit_kernels import _cli, run_mindformer

if __name__ == "__main__":
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.exit(_cli.run(lambda argv: run_mindformer.main(argv, folder)))
