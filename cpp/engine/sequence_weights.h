// The weights of a recurrent call, packed once for many calls without training.
#pragma once

#include "engine/sequence_call.h"

namespace rnncore {

template <class T>
class SequenceWeights {
 public:
  // Of kernel (I, G·H), recurrent kernel (H, G·H) and bias or null, none of which is read later.
  SequenceWeights(Cell cell, int64_t inputs, int64_t units, const T* kernel, const T* recurrent_kernel, const T* bias,
                  const Kernels& kernels);

  // Puts them in a call's inputs; it must run on `kernels()`, and not in training.
  void give(SequenceInputs<T>& inputs) const;
  const Kernels& kernels() const { return kernels_; }

 private:
  const Kernels& kernels_;
  Buffer packed_, bias_;  // the latter empty where there is none
};

extern template class SequenceWeights<float>;
extern template class SequenceWeights<double>;

}  // namespace rnncore
