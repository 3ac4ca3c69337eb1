// The functions of math.h in float and double, at the level this file is compiled for.
#include "core/math.h"

#include "core/level.h"
#include "core/math_table.h"

namespace rnncore {
namespace {

template <class T, class Function>
RNNCORE_INLINE void map(int64_t size, const T* x, T* y, Function function) {
  for (int64_t i = 0; i < size; i += W<T>) store_partial(y + i, function(load_partial(x + i, size - i)), size - i);
}

template <class T>
void exp_array(int64_t size, const T* x, T* y) {
  map(size, x, y, [](Vec<T> v) { return exp<T>(v); });
}

template <class T>
void sigmoid_array(int64_t size, const T* x, T* y) {
  map(size, x, y, [](Vec<T> v) { return sigmoid<T>(v); });
}

template <class T>
void tanh_array(int64_t size, const T* x, T* y) {
  map(size, x, y, [](Vec<T> v) { return tanh<T>(v); });
}

template <class T>
constexpr MathKernels<T> math_table{.exp = exp_array<T>, .sigmoid = sigmoid_array<T>, .tanh = tanh_array<T>};

}  // namespace

extern const MathKernels<float> RNNCORE_LEVEL_NAME(math_f32);
const MathKernels<float> RNNCORE_LEVEL_NAME(math_f32) = math_table<float>;
extern const MathKernels<double> RNNCORE_LEVEL_NAME(math_f64);
const MathKernels<double> RNNCORE_LEVEL_NAME(math_f64) = math_table<double>;

}  // namespace rnncore
