// What a kernel includes, in the twin build: the subset of the Ascend C API that the kernels use, on the host.
#pragma once

#include "twin/cube.h"
#include "twin/datacopy.h"
#include "twin/fixpipe.h"
#include "twin/queue.h"
#include "twin/sync.h"
#include "twin/system.h"
#include "twin/tensor.h"
#if __has_include("twin/vector_api.h")
#include "twin/vector_api.h"
#endif
