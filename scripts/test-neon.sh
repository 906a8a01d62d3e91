#!/bin/sh
# Builds the CPU kernels for 64-bit Arm and runs their self-check under qemu's user-mode emulation.
# Needs (Debian, Ubuntu): apt-get install g++-aarch64-linux-gnu qemu-user cmake
# Usage: scripts/test-neon.sh [build directory]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build/neon}
for tool in aarch64-linux-gnu-g++ qemu-aarch64 cmake; do
  if ! command -v "$tool" >/dev/null; then
    echo "test-neon: $tool not found; install it with: apt-get install g++-aarch64-linux-gnu qemu-user cmake" >&2
    exit 2
  fi
done
cmake -S "$root/csrc/cpu" -B "$build" -DCMAKE_TOOLCHAIN_FILE="$root/cmake/aarch64-linux-gnu.cmake" \
  -DVIT_KERNELS_LIB_DIR="$build" -DVIT_CPU_TOOLS=ON >/dev/null
cmake --build "$build" --parallel 2 >/dev/null
# Under emulation waiting threads must sleep: spinning ones would take the cores from the one that works.
export OMP_WAIT_POLICY=passive
exec qemu-aarch64 -L /usr/aarch64-linux-gnu "$build/vit_cpu_selfcheck"
