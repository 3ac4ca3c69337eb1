// Python's lock, where Python may end while a thread of it computes.
#pragma once

#include <pybind11/pybind11.h>

#if defined(__GLIBCXX__) && defined(__unix__)
#include <cxxabi.h>
#include <unistd.h>
#endif

namespace rnncore {

// Runs a function of C that may wait for the GIL. Once Python ends, other threads than its main one never get it:
// before 3.14 they are unwound in there, for which no frame of C++ is made. They wait for the end of the process here
// instead.
template <class F>
void wait_for_python(F f) {
#if defined(__GLIBCXX__) && defined(__unix__) && PY_VERSION_HEX < 0x030E0000
  try {
    f();
  } catch (abi::__forced_unwind&) {
    for (;;) pause();
  }
#else
  f();
#endif
}

// For its life the calling thread has no GIL.
class GilReleased {
 public:
  GilReleased() : before_(here_), state_(PyEval_SaveThread()) { here_ = this; }
  ~GilReleased() {
    here_ = before_;
    take();
  }
  GilReleased(const GilReleased&) = delete;
  GilReleased& operator=(const GilReleased&) = delete;

 private:
  friend class GilTaken;
  void take() {
    wait_for_python([this] { PyEval_RestoreThread(state_); });
  }

  static inline thread_local GilReleased* here_ = nullptr;
  GilReleased* const before_;
  PyThreadState* const state_;
};

// For its life a thread that released the GIL has it.
class GilTaken {
 public:
  GilTaken() : released_(*GilReleased::here_) { released_.take(); }
  ~GilTaken() { PyEval_SaveThread(); }
  GilTaken(const GilTaken&) = delete;
  GilTaken& operator=(const GilTaken&) = delete;

 private:
  GilReleased& released_;
};

}  // namespace rnncore
