#include "product.h"

namespace twin {

namespace baseline {
extern const HostArithmetic kArithmetic;
}
#if defined(__x86_64__)
namespace avx2 {
extern const HostArithmetic kArithmetic;
}
namespace avx512 {
extern const HostArithmetic kArithmetic;
}
#endif

const HostArithmetic& Arithmetic() {
#if defined(__x86_64__)
  static const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  static const HostArithmetic& widest = __builtin_cpu_supports("avx512f") ? avx512::kArithmetic
                                        : has_avx2 ? avx2::kArithmetic : baseline::kArithmetic;
  return widest;
#else
  return baseline::kArithmetic;
#endif
}

}  // namespace twin
