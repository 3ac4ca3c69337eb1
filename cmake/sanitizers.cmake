# -DRNNCORE_SANITIZE="address;undefined" or "thread" instruments every target.
set(RNNCORE_SANITIZE "" CACHE STRING "Sanitizers to build with")
if(RNNCORE_SANITIZE)
  list(JOIN RNNCORE_SANITIZE "," joined)
  add_compile_options(-fsanitize=${joined} -fno-omit-frame-pointer -O1 -g1)
  add_link_options(-fsanitize=${joined})
endif()
