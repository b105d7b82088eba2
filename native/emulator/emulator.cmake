# The emulator and the CUDA kernels on top of it: linked into tests only. Needs no nvcc.
if(GONKA_TESTS)
  file(GLOB emulator_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cpp)
  add_library(gonka_emulator STATIC EXCLUDE_FROM_ALL ${emulator_sources})
  target_include_directories(gonka_emulator PUBLIC native native/emulator native/ops)
  target_link_libraries(gonka_emulator PUBLIC gonka_include Threads::Threads)
  target_compile_options(gonka_emulator PRIVATE -O3)

  # A test of kernels may include a kernel's source file, with a planted bug chosen by a macro.
  enable_testing()
  file(GLOB emulator_tests CONFIGURE_DEPENDS test/native/cuda/*.cpp)
  foreach(source ${emulator_tests})
    get_filename_component(stem ${source} NAME_WE)
    add_executable(test_${stem} ${source})
    target_link_libraries(test_${stem} PRIVATE gonka_emulator)
    target_include_directories(test_${stem} PRIVATE test/native native/cuda)
    target_compile_definitions(test_${stem} PRIVATE GONKA_SOURCE_DIR="${CMAKE_CURRENT_SOURCE_DIR}"
                                                    GONKA_BINARY_DIR="${CMAKE_CURRENT_BINARY_DIR}")
    add_test(NAME ${stem} COMMAND test_${stem})
  endforeach()
endif()
