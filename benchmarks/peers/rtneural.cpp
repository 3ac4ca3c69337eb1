// RTNeural's LSTM and GRU layers behind a C interface: one step of one row a call.
#include <RTNeural/RTNeural.h>

#include <memory>
#include <vector>

namespace {

using Rows = std::vector<std::vector<float>>;

Rows rows_of(const float* from, int rows, int columns) {
  Rows found;
  for (int r = 0; r < rows; ++r) found.emplace_back(from + r * columns, from + (r + 1) * columns);
  return found;
}

}  // namespace

// Kernel (I, G·H), recurrent kernel (H, G·H), bias (4·H,) or (2, 3·H), gates as in Keras.
extern "C" void* layer_create(int is_gru, int inputs, int units, const float* kernel, const float* recurrent_kernel,
                              const float* bias) {
  const int columns = (is_gru ? 3 : 4) * units;
  const Rows w = rows_of(kernel, inputs, columns), u = rows_of(recurrent_kernel, units, columns);
  if (is_gru) {
    auto layer = std::make_unique<RTNeural::GRULayer<float>>(inputs, units);
    layer->setWVals(w);
    layer->setUVals(u);
    layer->setBVals(rows_of(bias, 2, columns));
    layer->reset();
    return static_cast<RTNeural::Layer<float>*>(layer.release());
  }
  auto layer = std::make_unique<RTNeural::LSTMLayer<float>>(inputs, units);
  layer->setWVals(w);
  layer->setUVals(u);
  layer->setBVals(std::vector<float>(bias, bias + columns));
  layer->reset();
  return static_cast<RTNeural::Layer<float>*>(layer.release());
}

extern "C" void layer_step(void* layer, const float* x, float* h) {
  static_cast<RTNeural::Layer<float>*>(layer)->forward(x, h);
}
