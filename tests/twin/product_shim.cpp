// The twin's matrix product behind a C interface, for registers of VIT_TWIN_LANES floats whatever this machine's are.
#include "product_kernel.cpp"

extern "C" void multiply(uint32_t m, uint32_t n, uint32_t k, uint32_t a_cols, uint32_t b_rows, uint32_t c_rows,
                         const float* a, const float* b, float* c, int order) {
  twin::VIT_TWIN_ISA::kArithmetic.multiply({m, n, k, a_cols, b_rows, c_rows, a, b, c, twin::SumOrder(order)});
}
extern "C" void transpose(const float* from, float* to, uint32_t count, uint32_t stride) {
  twin::VIT_TWIN_ISA::kArithmetic.transpose({from, to, count, stride});
}
extern "C" void from_half(const uint8_t* from, uint32_t count, float* out) {
  twin::VIT_TWIN_ISA::kArithmetic.from_half(from, count, out);
}
