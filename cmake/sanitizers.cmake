# -DRNNCORE_SANITIZE="address;undefined" or "thread" instruments every target.
set(RNNCORE_SANITIZE "" CACHE STRING "Sanitizers to build with")
if(RNNCORE_SANITIZE)
  list(JOIN RNNCORE_SANITIZE "," joined)
  # -O1 alone fuses no multiply-adds, which the accuracy of exp rests on.
  add_compile_options(-fsanitize=${joined} -fno-omit-frame-pointer -O1 -fexpensive-optimizations -g1)
  add_link_options(-fsanitize=${joined})
endif()
