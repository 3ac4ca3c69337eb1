# One object library per instruction set level: the same kernel sources, other flags.
# Each object file exports one table, named after its level, and nothing else.
# The first level needs nothing that a processor of the kind could lack.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  set(RNNCORE_ISA_LEVELS "portable;avx2;avx512" CACHE STRING "Instruction set levels to build")
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64|ARM64")
  set(RNNCORE_ISA_LEVELS "neon" CACHE STRING "Instruction set levels to build")
else()
  set(RNNCORE_ISA_LEVELS "portable" CACHE STRING "Instruction set levels to build")
endif()

# Vector width in bytes, number of vector registers, compiler flags.
set(RNNCORE_ISA_portable 16 16)
set(RNNCORE_ISA_neon 16 32)
set(RNNCORE_ISA_avx2 32 16 -mavx2 -mfma)
set(RNNCORE_ISA_avx512 64 32 -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -mprefer-vector-width=512)
# Not a level: avx512 where the processor has an instruction for products of bfloat16.
set(RNNCORE_ISA_avx512bf16 ${RNNCORE_ISA_avx512} -mavx512bf16)
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  set(RNNCORE_ISA_portable 16 32)
elseif(NOT RNNCORE_SANITIZE)
  # Few processors without AVX2 are left: small is better than fast here.
  list(APPEND RNNCORE_ISA_portable -Os)
endif()

file(GLOB RNNCORE_KERNEL_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cpp/core/isa/*.cpp)

function(rnncore_add_isa level)
  list(POP_FRONT RNNCORE_ISA_${level} bytes registers)
  set(target rnncore_kernels_${level})
  add_library(${target} OBJECT ${ARGN})
  rnncore_compile_options(${target})
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/cpp)
  target_compile_definitions(
    ${target} PRIVATE RNNCORE_ISA=${level} RNNCORE_VECTOR_BYTES=${bytes} RNNCORE_VECTOR_REGISTERS=${registers})
  # Contraction to FMA is wanted; the rest of -ffast-math is not. Link-time optimisation could move code
  # of one level into another. -O3 makes the kernels a third larger for 1 % of speed; engine and
  # bindings gain more by it.
  if(NOT RNNCORE_SANITIZE)
    list(PREPEND RNNCORE_ISA_${level} -O2)
  endif()
  target_compile_options(
    ${target} PRIVATE ${RNNCORE_ISA_${level}} -ffp-contract=fast -fno-math-errno -fno-trapping-math -fno-exceptions
                      -fno-rtti -fno-lto -Wno-psabi -Wno-unused-function)
endfunction()

function(rnncore_add_isa_levels engine)
  foreach(level IN LISTS RNNCORE_ISA_LEVELS)
    rnncore_add_isa(${level} ${RNNCORE_KERNEL_SOURCES})
    target_sources(${engine} PUBLIC $<TARGET_OBJECTS:rnncore_kernels_${level}>)
    string(APPEND declared " RNNCORE_LEVEL(${level})")
  endforeach()
  if("avx512" IN_LIST RNNCORE_ISA_LEVELS)
    rnncore_add_isa(avx512bf16 ${CMAKE_CURRENT_SOURCE_DIR}/cpp/core/isa/avx512bf16/sequence_bf16.cpp)
    target_sources(${engine} PUBLIC $<TARGET_OBJECTS:rnncore_kernels_avx512bf16>)
    target_compile_definitions(${engine} PUBLIC RNNCORE_HAS_AVX512BF16)
  endif()
  target_compile_definitions(${engine} PUBLIC "RNNCORE_LEVELS=${declared}")
endfunction()
