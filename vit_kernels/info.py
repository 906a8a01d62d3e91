"""python -m vit_kernels.info: versions, instruction sets, threads, the backend that models will run on, CANN and NPUs.

Nothing here fails because something is missing: what cannot be used is reported with the reason.
"""

from __future__ import annotations

import glob
import importlib.util
import json
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

from vit_kernels import _cli
from vit_kernels._version import __version__

# Where the toolkit may be, in the order in which the build looks, and the file by which it knows one.
_CANN_VARIABLES = ("ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME")
_CANN_DEFAULTS = ("/usr/local/Ascend/cann", "/usr/local/Ascend/ascend-toolkit/latest")
_CANN_VERSION = "compiler/version.info"


def find_cann() -> dict[str, Any] | None:
    """The CANN toolkit as {'path', 'version'} (version None when its file does not say), or None when there is none."""
    for candidate in [*(os.environ.get(name) for name in _CANN_VARIABLES), *_CANN_DEFAULTS]:
        if candidate and (Path(candidate) / _CANN_VERSION).is_file():
            text = (Path(candidate) / _CANN_VERSION).read_text(errors="replace")
            found = re.search(r"^Version=(\S+)", text, re.MULTILINE)
            return {"path": candidate, "version": found[1] if found else None}
    return None


def find_npus() -> list[str]:
    """The NPUs' device files; empty when the driver shows none."""
    return sorted(glob.glob("/dev/davinci[0-9]*"))


def processor() -> str:
    """The processor's name."""
    try:
        found = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def collect(backend: str = "auto") -> dict[str, Any]:
    """Everything the command prints, as one JSON-ready document.

    Args:
        backend: the request to resolve, see `vit_kernels.ops.resolve_backend`.

    Returns:
        {'versions': {...}, 'machine': {...}, 'cpu_kernels': {...}, 'backend': {...}, 'ascend': {...}}; a part that cannot be
        used has an 'error' that says why.
    """
    import mindspore as ms
    import numpy as np

    from vit_kernels.ops import NativeLibraryError, _backend, _library, resolve_backend

    versions = {"vit_kernels": __version__, "mindspore": ms.__version__, "numpy": np.__version__,
                "python": platform.python_version()}
    machine = {"processor": processor(), "architecture": platform.machine(), "system": platform.platform(),
               "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()}
    try:
        kernels: dict[str, Any] = {"isas_found": _library.isa_list(), "isa": _library.isa(), "threads": _library.threads()}
    except NativeLibraryError as error:
        kernels = {"error": str(error)}
    try:
        chosen: dict[str, Any] = {"requested": backend, "environment": os.environ.get("VIT_KERNELS_BACKEND") or None,
                                  "device_target": ms.get_context("device_target"), "backend": resolve_backend(backend)}
    except (NativeLibraryError, ValueError) as error:
        chosen = {"requested": backend, "error": str(error)}
    ascend: dict[str, Any] = {"cann": find_cann(), "npus": find_npus()}
    try:
        _backend._load_ascend()
        ascend["op_package"] = True
    except NativeLibraryError as error:
        ascend.update(op_package=False, op_package_error=str(error))
    ascend["twin"] = importlib.util.find_spec("vit_kernels._native") is not None
    return {"versions": versions, "machine": machine, "cpu_kernels": kernels, "backend": chosen, "ascend": ascend}


def _text(found: dict[str, Any]) -> str:
    kernels, chosen, ascend, machine = found["cpu_kernels"], found["backend"], found["ascend"], found["machine"]
    lines = [(name, version) for name, version in found["versions"].items()]
    lines += [("processor", f"{machine['processor']} ({machine['architecture']}), {machine['cores']} cores usable"),
              ("system", machine["system"])]
    if "error" in kernels:
        lines.append(("CPU kernels", f"cannot be used: {kernels['error']}"))
    else:
        lines += [("instruction sets", f"{', '.join(kernels['isas_found'])}; using {kernels['isa']}"),
                  ("threads", str(kernels["threads"]))]
    if "error" in chosen:
        lines.append(("backend", f"none: {chosen['error']}"))
    else:
        lines.append(("backend", f"{chosen['backend']} (requested {chosen['requested']}"
                      + (f", VIT_KERNELS_BACKEND={chosen['environment']}" if chosen["environment"] else "")
                      + f", device target {chosen['device_target']})"))
    cann = ascend["cann"]
    lines += [("CANN", f"{cann['version'] or 'unknown version'} in {cann['path']}" if cann else "not found"),
              ("NPU", ", ".join(ascend["npus"]) or "not found"),
              ("Ascend C op package", "installed" if ascend["op_package"] else "not installed"),
              ("twin of the NPU", "built" if ascend["twin"] else "not built")]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def main(argv: list[str]) -> int:
    """Parse, collect, print."""
    parser = _cli.parser("info", "Versions, instruction sets, threads, backend, CANN and NPUs.")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    args = parser.parse_args(argv)
    found = collect(args.backend)
    print(json.dumps(found, indent=2) if args.json else _text(found))
    return 0


if __name__ == "__main__":
    sys.exit(_cli.run(main))
