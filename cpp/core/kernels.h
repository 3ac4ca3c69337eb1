// Everything an instruction set level offers, as plain tables of function pointers.
#pragma once

#include "core/math_table.h"
#include "core/ops.h"
#include "core/recurrent/sequence.h"

namespace rnncore {

struct Kernels {
  const char* name;
  SequenceKernels<float> sequence_f32;
  SequenceKernels<float> sequence_bf16;  // where the processor multiplies bfloat16, for calls that round to it
  SequenceKernels<double> sequence_f64;
  OpKernels<float> ops_f32;
  OpKernels<double> ops_f64;
  MathKernels<float> math_f32;
  MathKernels<double> math_f64;
};

template <class T>
const SequenceKernels<T>& sequence_kernels(const Kernels& k) {
  if constexpr (sizeof(T) == 4)
    return k.sequence_f32;
  else
    return k.sequence_f64;
}

template <class T>
const OpKernels<T>& op_kernels(const Kernels& k) {
  if constexpr (sizeof(T) == 4)
    return k.ops_f32;
  else
    return k.ops_f64;
}

template <class T>
const MathKernels<T>& math_kernels(const Kernels& k) {
  if constexpr (sizeof(T) == 4)
    return k.math_f32;
  else
    return k.math_f64;
}

// Levels that are built in and that this processor runs, best first; the chosen one
// (environment variable RNNCORE_ISA, else the best); the level of that name or null.
int kernel_level_count();
const Kernels& kernel_level(int index);
const Kernels& kernels();
const Kernels* find_kernels(const char* name);
// Makes the level of that name the chosen one; false when there is none.
bool choose_kernels(const char* name);

}  // namespace rnncore
