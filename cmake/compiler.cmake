# Flags that every target of the project shares.
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release)
endif()
option(RNNCORE_WARNINGS_AS_ERRORS "Treat compiler warnings as errors" OFF)

include(CheckLinkerFlag)

function(rnncore_compile_options target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(
    ${target}
    PROPERTIES CXX_EXTENSIONS OFF
               POSITION_INDEPENDENT_CODE ON
               CXX_VISIBILITY_PRESET hidden
               VISIBILITY_INLINES_HIDDEN ON)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wno-unknown-pragmas)
  # Each function for itself, so that the linker can leave out, or share, what is not needed twice.
  target_compile_options(${target} PRIVATE -ffunction-sections -fdata-sections)
  if(RNNCORE_WARNINGS_AS_ERRORS)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

# The same where size counts, not speed.
function(rnncore_compile_small target)
  rnncore_compile_options(${target})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Files of a unit look like headers, whose types without linkage it warns of.
    target_compile_options(${target} PRIVATE -Wno-subobject-linkage)
  endif()
  if(NOT MSVC AND NOT RNNCORE_SANITIZE)
    # Without them copies become instructions that take longer to begin than a call.
    target_compile_options(${target} PRIVATE -Os -fno-builtin-memcpy -fno-builtin-memset)
  endif()
endfunction()

# Links a module without what no one calls, and with one copy of functions that came out alike.
function(rnncore_link_small target)
  target_link_options(${target} PRIVATE -Wl,--strip-all -Wl,--gc-sections)
  check_linker_flag(CXX "-fuse-ld=gold;-Wl,--icf=safe" RNNCORE_FOLDS_FUNCTIONS)
  if(RNNCORE_FOLDS_FUNCTIONS)
    target_link_options(${target} PRIVATE -fuse-ld=gold -Wl,--icf=safe)
  endif()
endfunction()
