# The CUDA backend: gonka_cuda.so beside the addon, static CUDA runtime, loaded like a vendor's library.
#   GONKA_CUDA        AUTO: if nvcc is found; ON: nvcc is required; OFF
#   GONKA_CUDA_ARCHS  targets of kernels that serve every architecture; *_sm89.cu leave out older ones,
#                     *_sm90.cu and *_sm100.cu have their own
set(GONKA_CUDA_ARCHS "80-real;89-real;90a-real;100a-real;120a-real" CACHE STRING "CUDA targets")
set(gonka_have_cuda OFF)
if(NOT GONKA_CUDA STREQUAL "OFF" AND NOT GONKA_SANITIZE)
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES ${GONKA_CUDA_ARCHS})  # before check_language: nvcc 13 lacks the default sm_52
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake before 3.28 does not know it
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
      set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
    endif()
    set(gonka_have_cuda ON)
  elseif(GONKA_CUDA STREQUAL "ON")
    message(FATAL_ERROR "GONKA_CUDA=ON but no CUDA compiler was found: put nvcc 13 on PATH or set CUDACXX")
  endif()
endif()
message(STATUS "CUDA backend: ${gonka_have_cuda} ${CMAKE_CUDA_COMPILER_VERSION}")

if(gonka_have_cuda)
  file(GLOB cuda_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cu)
  set(cuda_targets)
  # One object library per architecture family: the suffix of a file names what its kernels may be compiled for. Files
  # without kernels are compiled once.
  set(machine_pattern "/(nvml|tuning|runtime_cuda)\\.cu$")
  set(host_files backend context dispatch recording)
  list(JOIN host_files "|" host_names)
  set(host_pattern "/(${host_names}|[a-z0-9_]+_list)\\.cu$")
  foreach(family machine host generic sm89 sm90 sm100)
    set(family_sources ${cuda_sources})
    if(family STREQUAL "machine")
      list(FILTER family_sources INCLUDE REGEX "${machine_pattern}")
      set(family_archs 80-real)
    elseif(family STREQUAL "host")
      list(FILTER family_sources INCLUDE REGEX "${host_pattern}")
      set(family_archs 80-real)
    elseif(family STREQUAL "generic")
      list(FILTER family_sources EXCLUDE REGEX "${host_pattern}")
      list(FILTER family_sources EXCLUDE REGEX "${machine_pattern}")
      list(FILTER family_sources EXCLUDE REGEX "_(sm89|sm90|sm100)\\.cu$")
      set(family_archs ${GONKA_CUDA_ARCHS})
    elseif(family STREQUAL "sm89")  # and all later ones
      list(FILTER family_sources INCLUDE REGEX "_sm89\\.cu$")
      set(family_archs ${GONKA_CUDA_ARCHS})
      list(FILTER family_archs EXCLUDE REGEX "^8[0-8]")
    else()
      list(FILTER family_sources INCLUDE REGEX "_${family}\\.cu$")
      string(REPLACE "sm" "" number ${family})
      set(family_archs ${number}a-real)
    endif()
    if(family_sources)
      add_library(gonka_cuda_${family} OBJECT ${family_sources})
      set_target_properties(gonka_cuda_${family} PROPERTIES CUDA_ARCHITECTURES "${family_archs}")
      list(APPEND cuda_targets gonka_cuda_${family})
    endif()
  endforeach()
  set(cuda_objects)
  foreach(target ${cuda_targets})
    list(APPEND cuda_objects $<TARGET_OBJECTS:${target}>)
  endforeach()
  add_library(gonka_cuda SHARED ${cuda_objects})
  set_target_properties(gonka_cuda PROPERTIES PREFIX "" OUTPUT_NAME gonka_cuda LINKER_LANGUAGE CUDA
                                              LIBRARY_OUTPUT_DIRECTORY ${output_directory})
  target_link_libraries(gonka_cuda PRIVATE gonka_ops ${CMAKE_DL_LIBS})
  # What bench compares with: the same table over other people's kernels. Not beside the addon, which loads what lies there.
  set(peer_cublas cublas_list.cu)
  set(peer_cudnn cudnn_list.cu cudnn_attention.cpp cudnn_api.cpp)
  foreach(peer cublas cudnn)
    list(TRANSFORM peer_${peer} PREPEND ${CMAKE_CURRENT_LIST_DIR}/peers/)
    list(TRANSFORM host_files PREPEND ${CMAKE_CURRENT_LIST_DIR}/ OUTPUT_VARIABLE table)
    list(TRANSFORM table APPEND .cu)
    add_library(gonka_${peer} SHARED ${table} ${CMAKE_CURRENT_LIST_DIR}/peers/empty_lists.cu
                                     ${peer_${peer}} $<TARGET_OBJECTS:gonka_cuda_machine>)
    target_compile_definitions(gonka_${peer} PRIVATE GONKA_CUDA_PEER="${peer}")
    set_target_properties(gonka_${peer} PROPERTIES PREFIX "" LINKER_LANGUAGE CUDA CUDA_ARCHITECTURES 80-real
                                                   LIBRARY_OUTPUT_DIRECTORY ${output_directory}/peers)
    target_link_libraries(gonka_${peer} PRIVATE gonka_ops ${CMAKE_DL_LIBS})
  endforeach()
  foreach(target gonka_cuda gonka_cublas gonka_cudnn)
    target_link_options(${target} PRIVATE -Wl,--exclude-libs,ALL -Wl,--gc-sections)
  endforeach()
  foreach(target gonka_cuda gonka_cublas gonka_cudnn ${cuda_targets})
    set_target_properties(${target} PROPERTIES
      CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON CUDA_EXTENSIONS OFF CUDA_RUNTIME_LIBRARY Static
      POSITION_INDEPENDENT_CODE ON CUDA_VISIBILITY_PRESET hidden)
    target_include_directories(${target} PRIVATE native native/include native/ops native/cuda)
    # -fmad=false: what the source does not fuse is not fused, so that host and device round alike.
    # -Xptxas=-v: registers, spills and stack of every kernel; the launcher keeps them beside the object, for the test.
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20 -fmad=false -Xptxas=-v
                           -Xfatbin=-compress-all --expt-relaxed-constexpr -Xcompiler=-Wall,-Wextra>)
    set_target_properties(${target} PROPERTIES CUDA_COMPILER_LAUNCHER ${CMAKE_CURRENT_LIST_DIR}/keep_ptxas_report.sh)
  endforeach()
endif()
