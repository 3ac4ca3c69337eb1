// The recurrent kernels in float, at the level this file is compiled for.
#include "core/level.h"
#include "core/recurrent/sequence_kernels.h"

namespace rnncore {

extern const SequenceKernels<float> RNNCORE_LEVEL_NAME(sequence_f32);
const SequenceKernels<float> RNNCORE_LEVEL_NAME(sequence_f32) = sequence_table<float>;

}  // namespace rnncore
