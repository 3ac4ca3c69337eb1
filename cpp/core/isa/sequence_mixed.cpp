// The recurrent kernels in float with products of bfloat16, at the level this file is compiled for.
#include "core/level.h"
#include "core/sequence_kernels.h"

namespace rnncore {

extern const SequenceKernels<float> RNNCORE_LEVEL_NAME(sequence_mixed);
const SequenceKernels<float> RNNCORE_LEVEL_NAME(sequence_mixed) = sequence_table<float, Bfloat16Pair>;

}  // namespace rnncore
