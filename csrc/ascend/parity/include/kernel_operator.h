// Declarations of the part of the Ascend C device API that the kernels use, with the exact public types and no
// bodies: the parity guard parses every kernel against them, so that a call that the twin accepts but the real
// toolkit would not (a wrong constant, a missing cast, a name of one CANN generation only) fails on any machine.
// Only names are here that exist in both CANN 8.5 and 9.1, except behind VIT_CANN_MAJOR. Never linked, never run.
#pragma once

#include "parity/advanced.h"
#include "parity/base.h"
#include "parity/copy.h"
#include "parity/cube.h"
#include "parity/pipe.h"
#include "parity/reduce.h"
#include "parity/sync.h"
#include "parity/tensor.h"
#include "parity/vector.h"
