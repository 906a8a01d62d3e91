// The vector API: everything that runs on the vector pipe of an AIV.
#pragma once

#include "twin/vector_cast.h"
#include "twin/vector_elementwise.h"
#include "twin/vector_mask.h"
#include "twin/vector_math.h"
#include "twin/vector_move.h"
#include "twin/vector_reduce.h"
#include "twin/vector_select.h"
