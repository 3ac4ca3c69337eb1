// Chooses the instruction set level once, at first use.
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "core/kernels.h"

namespace rnncore {

// Each object file of a level exports one table.
#define RNNCORE_LEVEL(level)                                 \
  extern const SequenceKernels<float> sequence_f32_##level;  \
  extern const SequenceKernels<double> sequence_f64_##level; \
  extern const OpKernels<float> ops_f32_##level;             \
  extern const OpKernels<double> ops_f64_##level;            \
  extern const MathKernels<float> math_f32_##level;          \
  extern const MathKernels<double> math_f64_##level;
RNNCORE_LEVELS
#undef RNNCORE_LEVEL
#ifdef RNNCORE_HAS_AVX512BF16
extern const SequenceKernels<float> sequence_bf16_avx512bf16;
#endif

namespace {

bool supported(const char* level) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (std::strcmp(level, "avx2") == 0) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (std::strcmp(level, "avx512") == 0)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  return std::strcmp(level, "portable") == 0;
#else
  static_cast<void>(level);
  return true;  // the one level that other processors have
#endif
}

struct Levels {
  Kernels table[8];
  int count = 0;
  std::atomic<int> chosen{0};

  Levels() {
#define RNNCORE_LEVEL(level)                                                                             \
  add(Kernels{#level, sequence_f32_##level, sequence_f32_##level, sequence_f64_##level, ops_f32_##level, \
              ops_f64_##level, math_f32_##level, math_f64_##level});
    RNNCORE_LEVELS
#undef RNNCORE_LEVEL
    if (const char* wanted = std::getenv("RNNCORE_ISA")) choose(wanted);
  }

  bool choose(const char* name) {
    for (int i = 0; i < count; ++i)
      if (std::strcmp(table[i].name, name) == 0) {
        chosen = i;
        return true;
      }
    return false;
  }

  // Levels are listed from the weakest up; the table starts with the best.
  void add(const Kernels& kernels) {
    if (!supported(kernels.name)) return;
    for (int i = count; i > 0; --i) table[i] = table[i - 1];
    table[0] = kernels;
#ifdef RNNCORE_HAS_AVX512BF16
    // The same level with one more instruction.
    if (std::strcmp(kernels.name, "avx512") == 0 && __builtin_cpu_supports("avx512bf16"))
      table[0].sequence_bf16 = sequence_bf16_avx512bf16;
#endif
    ++count;
  }
};

Levels& levels() {
  static Levels instance;
  return instance;
}

}  // namespace

int kernel_level_count() { return levels().count; }
const Kernels& kernel_level(int index) { return levels().table[index]; }
const Kernels& kernels() { return levels().table[levels().chosen]; }

bool choose_kernels(const char* name) { return levels().choose(name); }

const Kernels* find_kernels(const char* name) {
  for (int i = 0; i < levels().count; ++i)
    if (std::strcmp(levels().table[i].name, name) == 0) return &levels().table[i];
  return nullptr;
}

}  // namespace rnncore
