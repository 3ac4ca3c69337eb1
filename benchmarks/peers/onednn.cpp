// One recurrent layer through oneDNN's own API, for onednn.py. All arrays are float32 and row-major:
// x (T, N, I), kernel (I, G*H), recurrent (H, G*H), bias (G*H), y and dy (T, N, H): oneDNN's gate orders are Keras's.
// lbr_gru's bias is (4*H): z and r once, h of the input, h of the state.
#include <cstring>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

using namespace dnnl;
using Tag = memory::format_tag;
using Arguments = std::unordered_map<int, memory>;

namespace {

enum Cell { simple_rnn, lstm, gru };
enum Mode { inference, forward, step };  // forward keeps what step's backward pass needs

class Layer {
 public:
  Layer(Cell cell, long N, long T, long I, long H, Mode mode) : mode_(mode) {
    const long G = cell == lstm ? 4 : cell == gru ? 3 : 1;
    const long biases = cell == gru ? 4 : G;
    const auto desc = [](memory::dims dims, Tag tag) {
      return memory::desc(std::move(dims), memory::data_type::f32, tag);
    };
    const auto x = desc({T, N, I}, Tag::tnc), y = desc({T, N, H}, Tag::tnc);
    const auto kernel = desc({1, 1, I, G, H}, Tag::ldigo), recurrent = desc({1, 1, H, G, H}, Tag::ldigo);
    const auto any_kernel = desc({1, 1, I, G, H}, Tag::any), any_recurrent = desc({1, 1, H, G, H}, Tag::any);
    const auto bias = desc({1, 1, biases, H}, Tag::ldgo);
    const auto state = desc({1, 1, N, H}, Tag::ldnc);
    const auto kind = mode == inference ? prop_kind::forward_inference : prop_kind::forward_training;
    const auto direction = rnn_direction::unidirectional_left2right;

    // States and their gradients are zero. Without them this version's recurrent gradients are wrong (3.2).
    for (const int id : {DNNL_ARG_SRC_ITER, DNNL_ARG_SRC_ITER_C, DNNL_ARG_DST_ITER, DNNL_ARG_DST_ITER_C}) {
      if (cell != lstm && (id == DNNL_ARG_SRC_ITER_C || id == DNNL_ARG_DST_ITER_C)) continue;
      states_.emplace(id, zeros(state));
      state_gradients_.emplace(id + DNNL_ARG_DIFF_SRC_ITER - DNNL_ARG_SRC_ITER, zeros(state));
    }

    for (const auto& [name, d] : {std::pair{"x", x},
                                  {"y", y},
                                  {"dx", x},
                                  {"dy", y},
                                  {"kernel", kernel},
                                  {"recurrent", recurrent},
                                  {"bias", bias},
                                  {"dkernel", kernel},
                                  {"drecurrent", recurrent},
                                  {"dbias", bias}})
      arrays_.emplace(name, memory(d, engine_));

    if (cell == lstm) {
      lstm_forward::primitive_desc f(engine_, kind, direction, x, state, state, any_kernel, any_recurrent, bias, y,
                                     state, state);
      connect_forward(lstm_forward(f), f);
      if (mode == step) {
        lstm_backward::primitive_desc b(engine_, prop_kind::backward, direction, x, state, state, any_kernel,
                                        any_recurrent, bias, y, state, state, x, state, state, any_kernel,
                                        any_recurrent, bias, y, state, state, f);
        connect_backward(lstm_backward(b), b);
      }
    } else if (cell == gru) {
      lbr_gru_forward::primitive_desc f(engine_, kind, direction, x, state, any_kernel, any_recurrent, bias, y, state);
      connect_forward(lbr_gru_forward(f), f);
      if (mode == step) {
        lbr_gru_backward::primitive_desc b(engine_, prop_kind::backward, direction, x, state, any_kernel, any_recurrent,
                                           bias, y, state, x, state, any_kernel, any_recurrent, bias, y, state, f);
        connect_backward(lbr_gru_backward(b), b);
      }
    } else {
      const auto tanh = algorithm::eltwise_tanh;
      vanilla_rnn_forward::primitive_desc f(engine_, kind, tanh, direction, x, state, any_kernel, any_recurrent, bias,
                                            y, state);
      connect_forward(vanilla_rnn_forward(f), f);
      if (mode == step) {
        vanilla_rnn_backward::primitive_desc b(engine_, prop_kind::backward, tanh, direction, x, state, any_kernel,
                                               any_recurrent, bias, y, state, x, state, any_kernel, any_recurrent, bias,
                                               y, state, f);
        connect_backward(vanilla_rnn_backward(b), b);
      }
    }
  }

  float* array(const std::string& name) { return static_cast<float*>(arrays_.at(name).get_data_handle()); }

  void pack() {
    for (auto& copy : pack_) copy.run(stream_);
  }

  void run() {
    forward_.execute(stream_, forward_arguments_);
    if (mode_ != step) return;
    for (auto& sum : sums_) std::memset(sum.get_data_handle(), 0, sum.get_desc().get_size());
    backward_.execute(stream_, backward_arguments_);
    for (auto& copy : unpack_) copy.run(stream_);
  }

 private:
  struct Copy {
    reorder primitive;
    memory from, to;
    void run(stream& s) { primitive.execute(s, from, to); }
  };

  memory zeros(const memory::desc& d) {
    memory m(d, engine_);
    std::memset(m.get_data_handle(), 0, d.get_size());
    return m;
  }

  // Weights in the layout the primitive asks for, packed by pack().
  template <class Descriptor>
  Arguments inputs(const Descriptor& d) {
    Arguments arguments{{DNNL_ARG_SRC_LAYER, arrays_.at("x")},
                        {DNNL_ARG_BIAS, arrays_.at("bias")},
                        {DNNL_ARG_DST_LAYER, arrays_.at("y")}};
    arguments.insert(states_.begin(), states_.end());
    for (const auto& [name, id] : {std::pair{"kernel", DNNL_ARG_WEIGHTS_LAYER}, {"recurrent", DNNL_ARG_WEIGHTS_ITER}}) {
      memory packed(d.query_md(query::exec_arg_md, id), engine_);
      arguments.emplace(id, packed);
      pack_.push_back({reorder(arrays_.at(name), packed), arrays_.at(name), packed});
    }
    if (mode_ != inference) arguments.emplace(DNNL_ARG_WORKSPACE, workspace_);
    return arguments;
  }

  template <class Descriptor>
  void connect_forward(primitive p, const Descriptor& d) {
    if (mode_ != inference) workspace_ = memory(d.workspace_desc(), engine_);
    forward_ = std::move(p);
    forward_arguments_ = inputs(d);
  }

  template <class Descriptor>
  void connect_backward(primitive p, const Descriptor& d) {
    backward_ = std::move(p);
    backward_arguments_ = inputs(d);
    backward_arguments_.insert(state_gradients_.begin(), state_gradients_.end());
    backward_arguments_.emplace(DNNL_ARG_DIFF_DST_LAYER, arrays_.at("dy"));
    backward_arguments_.emplace(DNNL_ARG_DIFF_SRC_LAYER, arrays_.at("dx"));
    backward_arguments_.emplace(DNNL_ARG_DIFF_BIAS, arrays_.at("dbias"));
    sums_.push_back(arrays_.at("dbias"));  // oneDNN adds to the gradients of the weights
    for (const auto& [name, id] :
         {std::pair{"dkernel", DNNL_ARG_DIFF_WEIGHTS_LAYER}, {"drecurrent", DNNL_ARG_DIFF_WEIGHTS_ITER}}) {
      memory sum(d.query_md(query::exec_arg_md, id), engine_);
      backward_arguments_.emplace(id, sum);
      sums_.push_back(sum);
      unpack_.push_back({reorder(sum, arrays_.at(name)), sum, arrays_.at(name)});
    }
  }

  Mode mode_;
  engine engine_{engine::kind::cpu, 0};
  stream stream_{engine_};
  std::unordered_map<std::string, memory> arrays_;
  Arguments states_, state_gradients_;
  memory workspace_;
  primitive forward_, backward_;
  Arguments forward_arguments_, backward_arguments_;
  std::vector<Copy> pack_, unpack_;
  std::vector<memory> sums_;
};

}  // namespace

extern "C" {

Layer* layer_create(int cell, long N, long T, long I, long H, int mode) {
  try {
    return new Layer(static_cast<Cell>(cell), N, T, I, H, static_cast<Mode>(mode));
  } catch (const dnnl::error&) {
    return nullptr;
  }
}

float* layer_array(Layer* layer, const char* name) { return layer->array(name); }

void layer_pack(Layer* layer) { layer->pack(); }

void layer_run(Layer* layer, int pack) {
  if (pack) layer->pack();
  layer->run();
}

void layer_destroy(Layer* layer) { delete layer; }

const char* version() {
  static const std::string text = [] {
    const auto* v = dnnl_version();
    return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
  }();
  return text.c_str();
}
}
