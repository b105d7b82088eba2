# The translator from PTX to C++, and the backend's kernels as nvcc compiles them, translated: linked into tests only.
#   GONKA_PTX        ON | OFF   with nvcc: build and run the conformance cases on the PTX of the backend's kernels, test
#                               translated_ptx: four minutes of nvcc and of compiling, two and a half of running
#   GONKA_PTX_FULL   OFF | ON   of every kernel; OFF leaves out those of gonka_ptx_left_out
option(GONKA_PTX "Run the conformance cases on the kernels' translated PTX" ON)
option(GONKA_PTX_FULL "Translate and test every kernel's PTX" OFF)
# Kernels that differ from one that stays by the element type or the tile alone: half of all the code, and of the time to
# compile it. What stays covers every instruction wrapper and every op. Regular expressions on mangled names.
set(gonka_ptx_left_out)
if(NOT GONKA_PTX_FULL)
  set(gonka_ptx_left_out
    "gemm_simt_kernelIf.*simt_large"
    "gemm_mma_kernelINS_3ptx4e5m2E"
    "gemm_mma_kernelINS_3ptx4(bf16|e4m3)E.*mma_(medium|large)"
    "gemm_wgmma_kernelINS_3ptx4bf16E.*wgmma_wide"
    "gemm_wgmma_kernelINS_3ptx3f16E.*10wgmma_wideE"
    "attention_mma_kernelINS_3ptx4bf16ELi(96|128|256)E"
    "attention_wgmma_kernelINS_3ptx4bf16ELi2E"
    "attention_wgmma_kernel.*Lb0E")
endif()
set(ptx_directory ${CMAKE_CURRENT_LIST_DIR})

file(GLOB translator_sources CONFIGURE_DEPENDS ${ptx_directory}/emit_*.cpp)
file(GLOB machine_sources CONFIGURE_DEPENDS ${ptx_directory}/*instructions.cpp)
add_library(gonka_ptx_translator STATIC EXCLUDE_FROM_ALL ${translator_sources} ${ptx_directory}/kernel_writer.cpp
            ${ptx_directory}/operands.cpp ${ptx_directory}/parse.cpp
            ${ptx_directory}/parse_operand.cpp ${ptx_directory}/translate.cpp)
target_include_directories(gonka_ptx_translator PUBLIC native/emulator)
add_executable(ptx_translate EXCLUDE_FROM_ALL ${ptx_directory}/main.cpp)
target_link_libraries(ptx_translate PRIVATE gonka_ptx_translator)

add_library(gonka_ptx_machine STATIC EXCLUDE_FROM_ALL ${machine_sources})
target_link_libraries(gonka_ptx_machine PUBLIC gonka_emulator)
target_compile_options(gonka_ptx_machine PRIVATE -O3)
add_library(gonka_ptx_kernels STATIC EXCLUDE_FROM_ALL ${ptx_directory}/kernel_table.cpp ${ptx_directory}/symbols.cpp)
target_link_libraries(gonka_ptx_kernels PUBLIC gonka_ptx_machine gonka_emulated_runtime)

# nvcc_ptx(OUT ptx SOURCE file ARCH 80): PTX of a kernel file, with the flags of the library's own build.
function(nvcc_ptx)
  cmake_parse_arguments(p "" "OUT;SOURCE;ARCH" "INCLUDE" ${ARGN})
  set(includes)
  foreach(directory ${p_INCLUDE} ${CMAKE_CURRENT_SOURCE_DIR}/native ${CMAKE_CURRENT_SOURCE_DIR}/native/include
          ${CMAKE_CURRENT_SOURCE_DIR}/native/ops ${CMAKE_CURRENT_SOURCE_DIR}/native/cuda)
    list(APPEND includes -I${directory})
  endforeach()
  set(language)
  if(NOT p_SOURCE MATCHES "\\.cu$")
    set(language -x cu)
  endif()
  file(GLOB_RECURSE headers native/cuda/*.cuh native/cuda/*.hpp native/ops/*.hpp native/include/*.h)
  add_custom_command(
    OUTPUT ${p_OUT}
    COMMAND ${CMAKE_CUDA_COMPILER} -ptx ${language} -arch=compute_${p_ARCH} -std=c++20 -fmad=false --expt-relaxed-constexpr
            ${includes} -o ${p_OUT} ${p_SOURCE}
    DEPENDS ${p_SOURCE} ${headers}
    COMMENT "PTX of ${p_SOURCE} for compute_${p_ARCH}"
    VERBATIM)
endfunction()

# translated_modules(target NAME.ptx... [LEFT_OUT pattern...]): C++ of PTX texts and the list of them, as sources of a target. The code is large
# and run once: optimised a little.
function(translated_modules target)
  cmake_parse_arguments(t "" "" "LEFT_OUT" ${ARGN})
  set(directory ${CMAKE_CURRENT_BINARY_DIR}/translated/${target})
  set(declarations)
  set(names)
  foreach(text ${t_UNPARSED_ARGUMENTS})
    get_filename_component(stem ${text} NAME_WE)
    set(code ${directory}/${stem}.cpp)
    add_custom_command(OUTPUT ${code} COMMAND ptx_translate ${text} ${code} k_module_${stem} ${t_LEFT_OUT}
                       DEPENDS ptx_translate ${text} COMMENT "Translating ${stem}.ptx" VERBATIM)
    set_source_files_properties(${code} PROPERTIES COMPILE_OPTIONS "-O1;-w")
    target_sources(${target} PRIVATE ${code})
    string(APPEND declarations "extern const module k_module_${stem};\n")
    list(APPEND names "&k_module_${stem}")
  endforeach()
  list(LENGTH names count)
  list(JOIN names ", " names)
  file(CONFIGURE OUTPUT ${directory}/translated_modules.cpp @ONLY CONTENT "#include \"ptx/kernel_table.hpp\"
namespace gonka::emulator::translated {
${declarations}static const module *const k_all[] = {${names}};
const module_list k_translated_modules = {k_all, ${count}};
}
")
  target_sources(${target} PRIVATE ${directory}/translated_modules.cpp)
endfunction()

include(test/native/cuda/ptx/ptx_tests.cmake)
