// The recurrent kernels in float with products of bfloat16, where the processor multiplies them.
#include "core/level.h"
#include "core/recurrent/sequence_kernels.h"

namespace rnncore {

extern const SequenceKernels<float> RNNCORE_LEVEL_NAME(sequence_bf16);
const SequenceKernels<float> RNNCORE_LEVEL_NAME(sequence_bf16) = sequence_table<float, Bfloat16Pair>;

}  // namespace rnncore
