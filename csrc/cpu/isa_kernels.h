// The kernels of the instruction set being compiled; table.cpp collects them into vit::Kernels.
#pragma once

#include "kernels.h"

namespace vit {
namespace VIT_ISA {

bool layer_norm_forward(const LayerNormForward& a);
bool layer_norm_backward(const LayerNormBackward& a);
bool attention_forward(const AttentionForward& a);
bool attention_backward(const AttentionBackward& a);
bool linear_forward(const LinearForward& a);
bool linear_backward(const LinearBackward& a);
bool mlp_forward(const MlpForward& a);
bool mlp_backward(const MlpBackward& a);
bool adamw(const AdamW& a);

}  // namespace VIT_ISA
}  // namespace vit
