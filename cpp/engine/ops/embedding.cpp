// y = embeddings[ids].
#include "engine/ops/registry.h"

namespace rnncore {
namespace {

std::vector<Tensor> infer_embedding(const Site& site) {
  const Tensor& ids = expect_any_input(site, 0, -1);
  if (!ids.integer) fail(site, "embedding takes integer ids, got floating point values");
  expect_slots(site, 1, 1, 1);
  const Shape& table = site.parameters[0]->shape;
  if (table.size() != 2 || table[0] < 1) fail(site, "embedding needs a table (V, D), got shape " + to_string(table));
  Tensor y{ids.shape, false};
  y.shape.push_back(table[1]);
  return {y};
}

template <class T>
class EmbeddingOp final : public Op<T> {
 public:
  EmbeddingOp(const Site& site, const Kernels& kernels) : kernels_(op_kernels<T>(kernels)) {
    call_.rows = site.inputs[0]->size();
    call_.vocabulary = site.parameters[0]->shape[0];
    call_.width = site.parameters[0]->shape[1];
  }

  double flops() const override { return static_cast<double>(call_.rows * call_.width); }
  int64_t id_limit() const override { return call_.vocabulary; }
  Needs needs(int) const override { return {.keeps_inputs = true}; }

  void bind(const Buffers<T>& b) override {
    call_.ids = static_cast<const int32_t*>(b.inputs[0]);
    call_.embeddings = b.parameter(0);
    call_.y = b.output(0);
    call_.dy = b.output_gradient(0);
    call_.dembeddings = b.parameter_gradient(0);
  }

  void forward(const Step&, const Team& team) override { kernels_.embedding_forward(call_, team); }
  void backward(const Step&, const Team& team) override {
    if (call_.dembeddings) kernels_.embedding_backward(call_, team);
  }

 private:
  const OpKernels<T>& kernels_;
  Embedding<T> call_{};
};

}  // namespace

OpType embedding_op() { return op_row<EmbeddingOp>("embedding", infer_embedding); }

}  // namespace rnncore
