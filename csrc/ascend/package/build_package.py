"""Builds the op package vendors/vit_kernels with a CANN toolkit.

Two generations of toolkits build op packages differently:

    functions   (has compiler/tikcpp/ascendc_kernel_cmake with an ASC package) a CMake project of ours, in functions/,
                calls npu_op_package and its relatives
    template    the toolkit's own project template is copied, our sources put into it, its build.sh run

Both leave a self-extracting installer, which is run into the wanted folder. The result carries a file vit_kernels.json
with the versions of the package and the toolkit, which the Python side checks before it uses the operators.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from amalgamate import amalgamate

VENDOR = "vit_kernels"
COMPUTE_UNITS = "ascend910b;ascend910_93"  # Atlas A2 and A3, both architecture 2201
HERE = Path(__file__).resolve().parent
ASCEND = HERE.parent


class BuildError(Exception):
    """The package cannot be built; the message says why."""


def operators() -> list[str]:
    """The folders that hold an operator, sorted."""
    return sorted(p.parent.parent.name for p in ASCEND.glob("*/op_host/vit_*.cpp"))


def stage_sources(project: Path) -> list[str]:
    """Writes op_host/<op>.cpp and op_kernel/<op>.cpp of every operator into `project`; returns the operators' names."""
    names = []
    for folder in operators():
        host = next((ASCEND / folder / "op_host").glob("vit_*.cpp"))
        for kind, source in (("op_host", host), ("op_kernel", ASCEND / folder / "op_kernel" / host.name)):
            if not source.exists():
                raise BuildError(f"{source.relative_to(ASCEND)} is missing; every op_host file has a kernel of its name")
            target = project / kind / source.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(amalgamate(source, ASCEND), encoding="utf-8")
        names.append(host.stem)
    return names


def has_functions(toolkit: Path) -> bool:
    """Whether the toolkit brings the CMake functions npu_op_package and so on."""
    folder = toolkit / "compiler/tikcpp/ascendc_kernel_cmake"
    return any((folder / name).exists() for name in ("ASCConfig.cmake", "asc-config.cmake", "FindASC.cmake"))


def build_with_functions(toolkit: Path, project: Path) -> None:
    """The CMake project in functions/, which calls the toolkit's functions."""
    shutil.copytree(HERE / "functions", project, dirs_exist_ok=True)
    build = project / "build_out"
    run(["cmake", "-S", str(project), "-B", str(build), f"-DASCEND_CANN_PACKAGE_PATH={toolkit}",
         f"-DASCEND_COMPUTE_UNIT={COMPUTE_UNITS}", f"-DVENDOR={VENDOR}"], project, toolkit)
    run(["cmake", "--build", str(build)], project, toolkit)
    run(["cmake", "--build", str(build), "--target", "package"], project, toolkit)


def build_from_template(toolkit: Path, project: Path) -> None:
    """The toolkit's project template with our sources in place of its samples."""
    template = toolkit / "tools/op_project_templates/ascendc"
    if not (template / "customize/CMakePresets.json").exists():
        raise BuildError(f"the toolkit has neither the npu_op_* CMake functions nor the project template "
                         f"{template / 'customize'}; install the full toolkit, not only the run time")
    shutil.copytree(template / "customize", project, dirs_exist_ok=True, ignore=_samples)
    if (template / "common").is_dir():
        shutil.copytree(template / "common", project / "cmake/util", dirs_exist_ok=True)
    presets_file = project / "CMakePresets.json"
    presets = json.loads(presets_file.read_text(encoding="utf-8"))
    variables = presets["configurePresets"][0]["cacheVariables"]
    for name, value in (("ASCEND_COMPUTE_UNIT", COMPUTE_UNITS), ("ASCEND_CANN_PACKAGE_PATH", str(toolkit)),
                        ("vendor_name", VENDOR)):
        variables[name] = {**variables.get(name, {"type": "STRING"}), "value": value}
    presets_file.write_text(json.dumps(presets, indent=2), encoding="utf-8")
    # The kernels set every flag themselves; what the compiler would add could only hide a missing one.
    (project / "op_kernel/CMakeLists.txt").write_text(
        "add_ops_compile_options(ALL OPTIONS --cce-auto-sync=off)\nadd_kernels_compile()\n", encoding="utf-8")
    run(["bash", str(project / "build.sh")], project, toolkit)


def _samples(folder: str, names: list[str]) -> list[str]:
    sources = Path(folder).name in ("op_host", "op_kernel")
    return [n for n in names if sources and n.endswith((".cpp", ".h"))]


def run(command: list[str], folder: Path, toolkit: Path | None = None) -> None:
    """Runs a command in `folder`; its output goes to the build's. Some of a toolkit's own CMake files look for it in the
    environment only."""
    environment = {**os.environ, "ASCEND_HOME_PATH": str(toolkit)} if toolkit else None
    done = subprocess.run(command, cwd=folder, env=environment, check=False)
    if done.returncode:
        raise BuildError(f"'{' '.join(command)}' in {folder} ended with {done.returncode}; its messages are above")


def install(project: Path, destination: Path) -> Path:
    """Runs the installer that a build left and moves vendors/<vendor> to `destination`, replacing what was there."""
    # CPack stages into a folder that is itself called *.run.
    installers = sorted((p for p in project.glob("build_out/**/*.run") if p.is_file()), key=lambda p: len(p.parts))
    if not installers:
        raise BuildError(f"the toolkit's build left no *.run installer in {project / 'build_out'}")
    unpacked = project / "unpacked"
    unpacked.mkdir()
    run(["bash", str(installers[0]), "--quiet", f"--install-path={unpacked}"], project)
    made = unpacked / "vendors" / VENDOR
    if not made.is_dir():
        raise BuildError(f"{installers[0].name} did not install vendors/{VENDOR}")
    destination.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(destination / VENDOR, ignore_errors=True)
    return Path(shutil.move(str(made), str(destination / VENDOR)))


def toolkit_version(toolkit: Path) -> str:
    """The version that the toolkit states, such as '8.5.0'."""
    match = re.search(r"^[Vv]ersion=(\S+)", (toolkit / "compiler/version.info").read_text(encoding="utf-8"), re.M)
    return match[1] if match else "unknown"


def build(toolkit: Path, folder: Path, destination: Path, version: str) -> Path:
    """The whole way from sources to `destination`/vit_kernels."""
    project = folder / "project"
    shutil.rmtree(project, ignore_errors=True)
    project.mkdir(parents=True)
    functions = has_functions(toolkit)
    (build_with_functions if functions else build_from_template)(toolkit, stage(project))
    vendor = install(project, destination)
    (vendor / "vit_kernels.json").write_text(json.dumps(
        {"version": version, "cann": toolkit_version(toolkit)}) + "\n", encoding="utf-8")
    return vendor


def stage(project: Path) -> Path:
    """`project` with the sources in it."""
    names = stage_sources(project)
    print(f"op package of {len(names)} operators: {', '.join(names)}", flush=True)
    return project


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--toolkit", type=Path, required=True, help="root of the CANN toolkit")
    parser.add_argument("--build", type=Path, required=True, help="scratch folder")
    parser.add_argument("--install", type=Path, required=True, help="folder that gets vit_kernels/")
    parser.add_argument("--version", required=True, help="version of this package")
    args = parser.parse_args()
    try:
        print(f"installed {build(args.toolkit, args.build.resolve(), args.install.resolve(), args.version)}")
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
