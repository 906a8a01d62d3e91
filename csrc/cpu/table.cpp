// The kernels of one instruction set as a table, so that dispatch (runtime.cpp) is one pointer.
#include "isa_kernels.h"

#define VIT_STRING_(x) #x
#define VIT_STRING(x) VIT_STRING_(x)

namespace vit {
namespace VIT_ISA {

const Kernels kKernels = {VIT_STRING(VIT_ISA), layer_norm_forward, layer_norm_backward,
                          attention_forward,   attention_backward, linear_forward,
                          linear_backward,     mlp_forward,        mlp_backward,
                          adamw};

}  // namespace VIT_ISA
}  // namespace vit
