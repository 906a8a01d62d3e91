// What a launch says about a kernel and what the kernel says about itself.
#include <stdexcept>

#include "harness.h"

using namespace AscendC;

namespace {

// No multiple of eight bytes.
struct Odd {
  int32_t a[3];
};

twin::Plan OddPlan(const std::vector<twin::TensorArg>&, const std::map<std::string, double>&, const Platform&) {
  twin::Plan plan;
  plan.tiling = twin::TilingBytes(Odd{});
  return plan;
}

void NoType(std::vector<GM_ADDR>&) { TPipe pipe; }

void OtherType(std::vector<GM_ADDR>&) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);  // @other_type
  TPipe pipe;
}

void OddTiling(std::vector<GM_ADDR>& args) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
  GET_TILING_DATA_WITH_STRUCT(Odd, tiling, args.back());  // @odd_tiling
  (void)tiling;
}

void WrongTiling(std::vector<GM_ADDR>& args) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
  GET_TILING_DATA_WITH_STRUCT(Params, tiling, args.back());  // @wrong_tiling
  (void)tiling;
}

void NoTiling(std::vector<GM_ADDR>&) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
  GET_TILING_DATA_WITH_STRUCT(Params, tiling, nullptr);  // @no_tiling
  (void)tiling;
}

// Different types for different keys.
void Keyed(std::vector<GM_ADDR>&) {
  KERNEL_TASK_TYPE(1, KERNEL_TYPE_AIV_ONLY);
  KERNEL_TASK_TYPE(2, KERNEL_TYPE_MIX_AIV_1_0);
  TPipe pipe;
}

void Throws(std::vector<GM_ADDR>&) {
  KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
  throw std::runtime_error("trouble on the host");
}

twin::Plan RefusingPlan(const std::vector<twin::TensorArg>&, const std::map<std::string, double>&, const Platform&) {
  throw std::invalid_argument("head_dim is 7; expected a multiple of 16");
}

}  // namespace

TWIN_REGISTER(launch_no_type, TestPlan, NoType);
TWIN_REGISTER(launch_other_type, TestPlan, OtherType);
TWIN_REGISTER(launch_odd_tiling, OddPlan, OddTiling);
TWIN_REGISTER(launch_wrong_tiling, OddPlan, WrongTiling);
TWIN_REGISTER(launch_no_tiling, TestPlan, NoTiling);
TWIN_REGISTER(launch_keyed, TestPlan, Keyed);
TWIN_REGISTER(launch_throws, TestPlan, Throws);
TWIN_REGISTER(launch_refused, RefusingPlan, NoType);
