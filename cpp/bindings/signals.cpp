#include "bindings/signals.h"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace py = pybind11;

namespace rnncore {
namespace {

unsigned long main_thread = 0;

}  // namespace

void know_main_thread() {
  main_thread = py::module_::import("threading").attr("main_thread")().attr("ident").cast<unsigned long>();
#if defined(__unix__) || defined(__APPLE__)
  // A forked child's is the thread that forked.
  pthread_atfork(nullptr, nullptr, [] { main_thread = PyThread_get_thread_ident(); });
#endif
}

void run_signal_handlers() {
  int failed = 0;
  wait_for_python([&] { failed = PyErr_CheckSignals(); });
  if (failed) throw py::error_already_set();
}

Interrupt SignalPoll::interrupt() {
  if (PyThread_get_thread_ident() != main_thread) return {};
  return {[](void* self) {
            return static_cast<SignalPoll*>(self)->keep_error([] {
              run_signal_handlers();
              return false;
            });
          },
          this};
}

}  // namespace rnncore
