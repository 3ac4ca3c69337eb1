// x0, x1, ..., mask -> y0, y1, ...: a function of the host's, by its number. One thread runs it while others wait.
#include "engine/host.h"

#include "engine/ops/registry.h"
#include "engine/step_mask.h"

namespace rnncore {

Host host{};

namespace {

int64_t function_of(const Site& site) { return site.node.attributes.get("function", int64_t{-1}); }

std::vector<Tensor> tensors_of(const std::vector<const Tensor*>& slots) {
  std::vector<Tensor> tensors;
  for (const Tensor* tensor : slots) tensors.push_back(tensor ? *tensor : Tensor{});
  return tensors;
}

std::vector<Tensor> infer_own_code(const Site& site) {
  if (site.inputs.size() < 2) fail(site, "expected inputs and a slot for a mask");
  for (size_t k = 0; k + 1 < site.inputs.size(); ++k) expect_any_input(site, k, -1);
  if (!host.shapes) fail(site, "there is nobody to run its function");
  if (const std::string error = StepMask::error(site, site.inputs.size() - 1); !error.empty()) fail(site, error);
  std::vector<Tensor> inputs = tensors_of(site.inputs);
  inputs.pop_back();
  std::vector<Tensor> outputs = host.shapes(function_of(site), inputs);
  if (outputs.size() != site.node.outputs.size())
    fail(site,
         "expected " + std::to_string(site.node.outputs.size()) + " outputs, got " + std::to_string(outputs.size()));
  for (const Tensor& y : outputs)
    if (y.shape.size() < 2 || y.samples() != site.batch || element_count(y.shape) == kUnknown)
      fail(site, "expected outputs (N, ...), got " + to_string(y.shape));
  return outputs;
}

template <class T>
class OwnCodeOp final : public Op<T> {
 public:
  OwnCodeOp(const Site& site, const Kernels&)
      : function_(function_of(site)),
        training_(site.training),
        inputs_(tensors_of(site.inputs)),
        outputs_(tensors_of(site.outputs)),
        mask_(site, site.inputs.size() - 1) {
    inputs_.pop_back();
    for (const Parameter* parameter : site.parameters) parameters_.push_back({parameter->shape, false});
  }

  double flops() const override { return 2e6; }  // not to be run with Python's lock
  Needs needs(int) const override {
    return {.saved = mask_.template saved<T>(), .keeps_inputs = true, .keeps_outputs = true};
  }
  void bind(const Buffers<T>& b) override {
    buffers_ = b;
    mask_.bind(b, b.saved);
  }

  void forward(const Step& step, const Team& team) override { run(mask_.load(step, team), team, false); }
  void backward(const Step&, const Team& team) override { run(mask_.loaded(), team, true); }

 private:
  void run(const int32_t* mask, const Team& team, bool backward) {
    if (team.thread == 0) {
      struct Job {
        HostCall call;
        bool done;
      } job{call_of(mask, backward), false};
      const auto run = [](void* given) { static_cast<Job*>(given)->done = host.run(static_cast<Job*>(given)->call); };
      host_scope ? host_scope->aside(host_scope->context, run, &job) : run(&job);
      failed_ = !job.done;
      if (failed_) __atomic_store_n(&team.watch->stop->said, true, __ATOMIC_RELAXED);
    }
    team_barrier(team);
    if (failed_) throw Stopped{};
  }

  HostCall call_of(const int32_t* mask, bool backward) const {
    HostCall call{function_, training_, sizeof(T) == 8, {}, {}, {}, {}, {}, {}};
    const auto array = [](const void* data, const Tensor& tensor) {
      return HostArray{const_cast<void*>(data), tensor};
    };
    for (size_t k = 0; k < inputs_.size(); ++k) call.inputs.push_back(array(buffers_.inputs[k], inputs_[k]));
    call.mask = array(mask, {{inputs_[0].samples(), inputs_[0].steps()}, true});
    for (size_t k = 0; k < outputs_.size(); ++k) call.outputs.push_back(array(buffers_.output(k), outputs_[k]));
    if (!backward) return call;
    for (size_t k = 0; k < outputs_.size(); ++k)
      call.output_gradients.push_back(array(buffers_.output_gradient(k), outputs_[k]));
    for (size_t k = 0; k < inputs_.size(); ++k)
      call.input_gradients.push_back(array(buffers_.input_gradient(k), inputs_[k]));
    for (size_t k = 0; k < parameters_.size(); ++k)
      call.parameter_gradients.push_back(array(buffers_.parameter_gradient(k), parameters_[k]));
    return call;
  }

  int64_t function_;
  bool training_, failed_ = false;
  std::vector<Tensor> inputs_, outputs_, parameters_;
  StepMask mask_;
  Buffers<T> buffers_;
};

}  // namespace

OpType own_code_op() { return op_row<OwnCodeOp>("own_code", infer_own_code); }

}  // namespace rnncore
