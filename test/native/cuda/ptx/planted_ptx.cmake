# Bugs that only the translated PTX can show: in the wrappers of device/*_nvcc.cuh, which no host compiler ever sees. The
# test programs are those of ../planted, whose kernels pass on the host-compiled emulation (planted_mma, planted_wgmma);
# here their launches run nvcc's PTX, made with one wrapper changed. planted_ptx_<kernel> must pass clean,
# planted_ptx_<kernel>_<bug> must be caught.
set(planted_sources ${CMAKE_CURRENT_SOURCE_DIR}/test/native/cuda/planted)

function(planted_ptx kernel arch kernel_header)
  set(name planted_ptx_${kernel})
  set(expect PLANTED_NONE)
  if(ARGC GREATER 3)
    set(name ${name}_${ARGV3})
    set(expect PLANTED_BUG)
  endif()
  # A copy of the backend's headers, so that what includes the changed one finds it.
  set(directory ${CMAKE_CURRENT_BINARY_DIR}/planted_ptx/${name})
  file(GLOB headers RELATIVE ${CMAKE_CURRENT_SOURCE_DIR}/native native/cuda/*.hpp native/cuda/device/*)
  foreach(header ${headers})
    file(READ native/${header} text)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS native/${header})
    if(ARGC GREATER 3 AND header STREQUAL "cuda/device/${ARGV4}")
      string(FIND "${text}" "${ARGV5}" at)
      if(at EQUAL -1)
        message(FATAL_ERROR "${name}: device/${ARGV4} does not hold the text to replace: ${ARGV5}")
      endif()
      string(REPLACE "${ARGV5}" "${ARGV6}" text "${text}")
    endif()
    file(CONFIGURE OUTPUT ${directory}/${header} CONTENT "${text}" @ONLY)
    if(header STREQUAL "cuda/device/${kernel_header}")
      file(CONFIGURE OUTPUT ${directory}/planted/${kernel_header} CONTENT "${text}" @ONLY)
    endif()
  endforeach()
  set(text ${directory}/${kernel}.ptx)
  nvcc_ptx(OUT ${text} SOURCE ${planted_sources}/${kernel}.cpp ARCH ${arch}
           INCLUDE ${directory} ${directory}/cuda ${CMAKE_CURRENT_SOURCE_DIR}/native/emulator)
  add_executable(${name} ${planted_sources}/${kernel}.cpp)
  translated_modules(${name} ${text})
  # The host side is the kernel without a bug.
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/planted_kernels/planted_${kernel} test/native)
  target_link_libraries(${name} PRIVATE gonka_ptx_kernels)
  target_compile_definitions(${name} PRIVATE ${expect} GONKA_TRANSLATED_PTX)
  target_compile_options(${name} PRIVATE -O1)
  add_test(NAME ${name} COMMAND ${name})
endfunction()

planted_ptx(mma 80 gemm_mma.cuh)
planted_ptx(mma 80 gemm_mma.cuh swapped_a_operands ptx_nvcc.cuh "\"r\"(a[0]), \"r\"(a[1]), \"r\"(a[2])"
            "\"r\"(a[0]), \"r\"(a[2]), \"r\"(a[1])")
planted_ptx(wgmma 90a gemm_wgmma.cuh)
planted_ptx(wgmma 90a gemm_wgmma.cuh swapped_descriptors wgmma_nvcc.cuh "\"l\"(a), \"l\"(b)" "\"l\"(b), \"l\"(a)")
