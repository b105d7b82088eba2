# The emulator and the CUDA backend on top of it: linked into tests only. Needs no nvcc.
if(GONKA_TESTS)
  file(GLOB emulator_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cpp)
  list(FILTER emulator_sources EXCLUDE REGEX "runtime_emulator\\.cpp$")
  add_library(gonka_emulator STATIC EXCLUDE_FROM_ALL ${emulator_sources})
  target_include_directories(gonka_emulator PUBLIC native native/cuda native/emulator native/ops)
  target_link_libraries(gonka_emulator PUBLIC gonka_include Threads::Threads)
  target_compile_options(gonka_emulator PRIVATE -O3 PUBLIC -Wno-psabi)

  # Every .cu file but the CUDA runtime's, compiled as C++: a file that includes it, since one source cannot have two
  # languages in one directory.
  file(GLOB emulated_sources CONFIGURE_DEPENDS native/cuda/*.cu)
  list(FILTER emulated_sources EXCLUDE REGEX "runtime_cuda\\.cu$")
  set(emulated_wrappers)
  foreach(source ${emulated_sources})
    get_filename_component(stem ${source} NAME_WE)
    set(wrapper ${CMAKE_CURRENT_BINARY_DIR}/emulated/${stem}.cpp)
    file(RELATIVE_PATH relative ${CMAKE_CURRENT_BINARY_DIR}/emulated ${source})
    file(CONFIGURE OUTPUT ${wrapper} CONTENT "#include \"${relative}\"\n")
    list(APPEND emulated_wrappers ${wrapper})
  endforeach()
  add_library(gonka_emulated_runtime STATIC EXCLUDE_FROM_ALL ${CMAKE_CURRENT_LIST_DIR}/runtime_emulator.cpp)
  target_link_libraries(gonka_emulated_runtime PUBLIC gonka_emulator gonka_ops)
  add_library(gonka_cuda_emulated STATIC EXCLUDE_FROM_ALL ${emulated_wrappers})
  target_link_libraries(gonka_cuda_emulated PUBLIC gonka_emulated_runtime)

  # A test of one kernel may include the kernel's source file, with a planted bug chosen by a macro.
  enable_testing()
  file(GLOB emulator_tests CONFIGURE_DEPENDS test/native/cuda/*.cpp)
  foreach(source ${emulator_tests})
    get_filename_component(stem ${source} NAME_WE)
    add_executable(test_${stem} ${source})
    target_link_libraries(test_${stem} PRIVATE gonka_cuda_emulated gonka_poc gonka_cpu ${CMAKE_DL_LIBS})
    target_include_directories(test_${stem} PRIVATE test/native)
    target_compile_definitions(test_${stem} PRIVATE GONKA_SOURCE_DIR="${CMAKE_CURRENT_SOURCE_DIR}"
                                                    GONKA_BINARY_DIR="${CMAKE_CURRENT_BINARY_DIR}")
    add_test(NAME ${stem} COMMAND test_${stem})
    if(TARGET gonka_cuda)
      list(JOIN GONKA_CUDA_ARCHS ", " cuda_target_names)
      add_dependencies(test_${stem} gonka_cuda)
      target_compile_definitions(test_${stem} PRIVATE GONKA_CUDA_BUILT GONKA_NVCC="${CMAKE_CUDA_COMPILER_VERSION}"
                                                      GONKA_CUDA_TARGETS="${cuda_target_names}")
    endif()
  endforeach()

  # The management library that cuda_telemetry asks: as of today, and as an old driver has it.
  foreach(age "" "-old")
    add_library(fake_nvml${age} MODULE EXCLUDE_FROM_ALL test/native/cuda/nvml/fake_nvml.c)
    set_target_properties(fake_nvml${age} PROPERTIES PREFIX "lib" OUTPUT_NAME nvidia-ml${age} SUFFIX ".so.1"
                                          LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/fake_nvml)
    add_dependencies(test_cuda_telemetry fake_nvml${age})
  endforeach()
  target_compile_definitions(fake_nvml-old PRIVATE FAKE_OLD)

  include(test/native/cuda/planted/planted.cmake)
  include(native/emulator/ptx/ptx.cmake)
endif()
