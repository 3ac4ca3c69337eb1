// Variants of a kernel as types, of which a call chooses one.
#pragma once

#include "core/team.h"

namespace rnncore {
namespace {

template <class... Types>
struct TypeList {
  // Calls body.operator()<Type>() for the first type that fits.operator()<Type>() is true of.
  template <class Fits, class Body>
  static RNNCORE_INLINE void with_first(Fits fits, Body body) {
    const auto called = [&]<class Type>() {
      if (!fits.template operator()<Type>()) return false;
      body.template operator()<Type>();
      return true;
    };
    static_cast<void>((called.template operator()<Types>() || ...));
  }
};

}  // namespace
}  // namespace rnncore
