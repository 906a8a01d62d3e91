#!/usr/bin/env bash
# Syntax-checks kernel sources against the public API declarations, as the device compiler would see them: each core
# half apart, for both toolkit generations, with g++ and, where present, with clang++ in its CUDA mode (which refuses
# host functions in device code, constexpr ones too, and mixed-up address spaces).
#   csrc/ascend/parity/check.sh csrc/ascend/<op>/op_kernel/<op>.cpp [extra compiler options such as -DDTYPE_X=half]
#   csrc/ascend/parity/check.sh csrc/ascend/<op>/op_host/<op>.cpp
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source=$1
shift
common=(-fsyntax-only -Wall -Wextra -Werror "$@")
status=0
run() {
  if ! "$@"; then
    echo "FAILED: $*" >&2
    status=1
  fi
}
if [[ $source == */op_host/* ]]; then
  for major in 8 9; do
    for compiler in "${CXX:-g++}" clang++; do
      command -v "$compiler" >/dev/null || continue
      # The code generator compiles op_host as C++11, the libraries as C++17.
      for standard in c++11 c++17; do
        run "$compiler" -std=$standard "${common[@]}" -DVIT_CANN_MAJOR=$major -I "$here/host" -I "$here/.." "$source"
      done
    done
  done
  exit $status
fi
device=(-std=c++17 -D__NPU_ARCH__=2201 -Wdouble-promotion -Wno-unknown-pragmas -I "$here/include" -I "$here/..")
for half in CUBE VEC; do
  for major in 8 9; do
    defines=(-D__DAV_C220_${half}__ -DVIT_CANN_MAJOR=$major)
    run "${CXX:-g++}" "${common[@]}" "${device[@]}" "${defines[@]}" "$source"
    if command -v clang++ >/dev/null; then
      run clang++ -x cuda --cuda-gpu-arch=sm_70 --cuda-device-only -nocudainc -nocudalib -Wno-unknown-cuda-version \
        -Xclang -fno-cuda-host-device-constexpr -Wno-undefined-inline -Wno-undefined-internal "${common[@]}" "${device[@]}" "${defines[@]}" "$source"
    fi
  done
done
exit $status
