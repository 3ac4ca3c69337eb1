// Signals that arrive during a long call: their Python handlers run while kernels do, and may end the call.
#pragma once

#include <pybind11/pybind11.h>

#include <exception>

#include "bindings/gil.h"
#include "engine/threads.h"

namespace rnncore {

// Throws what code of the host's raised in a step of this thread's, if it did; with the GIL.
void rethrow_failure();

// Made, and asked about what the handlers raised, with the GIL.
class SignalPoll {
 public:
  SignalPoll() = default;
  SignalPoll(const SignalPoll&) = delete;

  // Takes the GIL and runs the handlers. None for calls of other threads than Python's main one, which alone runs any.
  Interrupt interrupt();

  // Throws what was raised, if anything was, by handlers or by a layer's own code.
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
    rethrow_failure();
  }

 protected:
  // Keeps what `ask` throws, and is then true.
  template <class Ask>
  bool keep_error(Ask ask) {
    const GilTaken gil;
    try {
      return ask();
    } catch (...) {
      error_ = std::current_exception();
      return true;
    }
  }

 private:
  std::exception_ptr error_;
};

// Computes without the GIL; throws what a handler raised meanwhile.
template <class Compute>
void run_interruptible(SignalPoll& signals, Compute compute) {
  const Interrupt interrupt = signals.interrupt();
  try {
    const GilReleased nogil;
    compute(interrupt);
  } catch (const Stopped&) {  // because of what is thrown here
  }
  signals.rethrow();
}

// Throws what a handler raises.
void run_signal_handlers();

// Once, when the module is imported.
void know_main_thread();

}  // namespace rnncore
