// The windows of a convolution or pooling over time, from a node's attributes.
#pragma once

#include <algorithm>

#include "engine/ops/registry.h"
#include "engine/step_mask.h"

namespace rnncore {

// Slots of such a node: x, mask; y, mask of y.
constexpr size_t kWindowMask = 1, kWindowOutputMask = 1;

inline int64_t window_span(const Window& w) { return (w.size - 1) * w.dilation + 1; }

// Throws std::invalid_argument when the attributes or the input do not fit.
inline Window window_of(const Site& site, int64_t size, int64_t stride, int64_t dilation) {
  const Tensor& x = expect_input(site, 0, 3);
  const std::string padding = site.node.attributes.get("padding", std::string("valid"));
  if (size < 1) fail(site, "expected windows of at least 1 step");
  if (size - 1 > kMostElements / dilation) fail(site, "the windows have more steps than any memory");
  Window w{x.samples(), x.steps(), 0, size, stride, dilation, 0};
  const int64_t T = w.steps, span = window_span(w);
  if (padding == "valid") {
    if (T < span)
      fail(site,
           "expected at least " + std::to_string(span) + " time steps with padding 'valid', got " + std::to_string(T));
    w.out_steps = (T - span) / stride + 1;
    return w;
  }
  w.out_steps = (T + stride - 1) / stride;
  if (padding == "same")
    w.before = std::max<int64_t>((w.out_steps - 1) * stride + span - T, 0) / 2;
  else if (padding == "causal")
    w.before = span - 1;
  else
    fail(site, "padding: expected valid, same or causal, got '" + padding + "'");
  return w;
}

// The shapes of a node's outputs.
inline std::vector<Tensor> window_outputs(const Site& site, const Window& w, int64_t channels) {
  if (const std::string error = StepMask::error(site, kWindowMask); !error.empty()) fail(site, error);
  return {Tensor{{w.samples, w.out_steps, channels}, false}, Tensor{{w.samples, w.out_steps}, true}};
}

// Number of windows of a row with `length` steps.
inline int64_t windows_of(const Window& w, bool valid, int64_t length) {
  if (!valid) return (length + w.stride - 1) / w.stride;
  const int64_t span = window_span(w);
  return length < span ? 0 : (length - span) / w.stride + 1;
}

// Marks as many first windows of each row (T', N) as there are when its real steps come first and nothing follows.
inline void mark_windows(const Window& w, bool valid, const StepMask& mask, const Step& step, const Team& team,
                         int32_t* marks) {
  mask.each_row(step, team, [&](int64_t n, int64_t length) {
    const int64_t count = windows_of(w, valid, length);
    for (int64_t j = 0; j < w.out_steps; ++j) marks[j * w.samples + n] = j < count;
  });
}

}  // namespace rnncore
