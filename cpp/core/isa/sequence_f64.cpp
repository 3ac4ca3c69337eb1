// The recurrent kernels in double, at the level this file is compiled for.
#include "core/level.h"
#include "core/recurrent/sequence_kernels.h"

namespace rnncore {

extern const SequenceKernels<double> RNNCORE_LEVEL_NAME(sequence_f64);
const SequenceKernels<double> RNNCORE_LEVEL_NAME(sequence_f64) = sequence_table<double>;

}  // namespace rnncore
