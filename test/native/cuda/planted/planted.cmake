# Kernels with one planted bug each, and without: planted_<kernel> must pass clean; planted_<kernel>_<bug> must be caught,
# by a finding of the emulator or by a wrong result. A bug is a replacement of text in a copy of the kernel's header.
set(planted_directory ${CMAKE_CURRENT_LIST_DIR})

function(planted_kernel kernel header)
  set(name planted_${kernel})
  set(directory ${CMAKE_CURRENT_BINARY_DIR}/planted_kernels/${name})
  set(expect PLANTED_NONE)
  if(ARGC GREATER 2)
    set(name ${name}_${ARGV2})
    set(directory ${CMAKE_CURRENT_BINARY_DIR}/planted_kernels/${name})
    set(expect PLANTED_BUG)
  endif()
  file(READ native/cuda/device/${header} text)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS native/cuda/device/${header})
  if(ARGC GREATER 2)
    string(FIND "${text}" "${ARGV3}" at)
    if(at EQUAL -1)
      message(FATAL_ERROR "${name}: device/${header} does not hold the text to replace: ${ARGV3}")
    endif()
    string(REPLACE "${ARGV3}" "${ARGV4}" text "${text}")
  endif()
  file(CONFIGURE OUTPUT ${directory}/planted/${header} CONTENT "${text}" @ONLY)
  add_executable(${name} ${planted_directory}/${kernel}.cpp)
  target_include_directories(${name} PRIVATE ${directory} test/native)
  target_link_libraries(${name} PRIVATE gonka_cuda_emulated)
  target_compile_definitions(${name} PRIVATE ${expect})
  # An accumulator that nobody initialised is what some of these are about.
  target_compile_options(${name} PRIVATE -O1 -Wno-maybe-uninitialized -Wno-uninitialized -Wno-unused-variable
                         -Wno-unused-parameter)
  add_test(NAME ${name} COMMAND ${name})
endfunction()

planted_kernel(mma gemm_mma.cuh)
planted_kernel(mma gemm_mma.cuh missing_barrier "bar_sync();  // this stage has arrived" "// this stage has arrived")
planted_kernel(mma gemm_mma.cuh wrong_swizzle "base + stage_offset(a_row + i * 16, half * 2 + lane / 16)"
               "base + ((a_row + i * 16) * k_stage_row_bytes + (half * 2 + lane / 16) * 16)")
planted_kernel(mma gemm_mma.cuh stage_too_few "cp_async_wait<k_tile.stages - 2>" "cp_async_wait<k_tile.stages - 1>")
planted_kernel(mma gemm_mma.cuh tail_off_by_one "(k_end - at_k) * int64_t(sizeof(T))"
               "(k_end - at_k + 1) * int64_t(sizeof(T))")
planted_kernel(mma gemm_mma.cuh uninitialised_accumulator "sum d[k_m_tiles][k_n_tiles][4] = {};"
               "sum d[k_m_tiles][k_n_tiles][4];")
planted_kernel(mma gemm_mma.cuh swapped_operands "first[2] = {r[0], r[1]}" "first[2] = {r[1], r[0]}")
planted_kernel(mma gemm_mma.cuh misaligned_copy "if (vector) {" "if (true) {")

planted_kernel(wgmma gemm_wgmma.cuh)
planted_kernel(wgmma gemm_wgmma.cuh wrong_producer_phase "uint32_t stage = 0, parity = 1;" "uint32_t stage = 0, parity = 0;")
planted_kernel(wgmma gemm_wgmma.cuh wrong_consumer_phase "uint32_t stage = 0, parity = 0;" "uint32_t stage = 0, parity = 1;")
planted_kernel(wgmma gemm_wgmma.cuh too_few_bytes_expected "expect_tx(full(stage), k_stage_bytes)"
               "expect_tx(full(stage), k_a_bytes)")
planted_kernel(wgmma gemm_wgmma.cuh too_many_bytes_expected "expect_tx(full(stage), k_stage_bytes)"
               "expect_tx(full(stage), k_stage_bytes + 16)")
planted_kernel(wgmma gemm_wgmma.cuh released_too_early "wgmma_wait<1>()" "wgmma_wait<2>()")
planted_kernel(wgmma gemm_wgmma.cuh wrong_atom_stride "wgmma_descriptor(rows + part, 0, k_atom_bytes)"
               "wgmma_descriptor(rows + part, 0, k_atom_bytes / 2)")
planted_kernel(wgmma gemm_wgmma.cuh arrival_too_few "mbarrier_init(empty(stage), k_consumer_warps * k_cluster)"
               "mbarrier_init(empty(stage), k_consumer_warps - 1)")
planted_kernel(wgmma gemm_wgmma.cuh too_many_registers "setmaxnreg_dec<40>()" "setmaxnreg_dec<64>()")
planted_kernel(wgmma gemm_wgmma.cuh missing_fence "wgmma_fence();" "")
planted_kernel(wgmma gemm_wgmma.cuh stale_accumulator "const bool accumulate = step != 0 || part != 0;"
               "const bool accumulate = true;")

planted_kernel(wgmma_cluster gemm_wgmma.cuh)
planted_kernel(wgmma_cluster gemm_wgmma.cuh neighbour_not_waited_for
               "mbarrier_init(empty(stage), k_consumer_warps * k_cluster)"
               "mbarrier_init(empty(stage), k_consumer_warps)")
planted_kernel(wgmma_cluster gemm_wgmma.cuh neighbour_not_told "rank < k_cluster; ++rank" "rank < 1; ++rank")
planted_kernel(wgmma_cluster gemm_wgmma.cuh half_not_shared "full(stage), 3)" "full(stage), 1)")

planted_kernel(tcgen05 gemm_tcgen05.cuh)
planted_kernel(tcgen05 gemm_tcgen05.cuh wrong_loader_phase "uint32_t stage = 0, parity = 1;" "uint32_t stage = 0, parity = 0;")
planted_kernel(tcgen05 gemm_tcgen05.cuh buffer_phase_never_turns "if (buffer == 0) taken_parity ^= 1;" "")
planted_kernel(tcgen05 gemm_tcgen05.cuh too_few_bytes_expected "expect_tx(full(stage), k_stage_bytes)"
               "expect_tx(full(stage), k_a_bytes)")
planted_kernel(tcgen05 gemm_tcgen05.cuh stage_released_too_early "tcgen05_commit(empty(stage));"
               "mbarrier_arrive(empty(stage));")
planted_kernel(tcgen05 gemm_tcgen05.cuh stale_accumulator "step != first || part != 0" "true")
planted_kernel(tcgen05 gemm_tcgen05.cuh wrong_atom_stride "k_atom_bytes = 8 * k_row_bytes"
               "k_atom_bytes = 4 * k_row_bytes")
planted_kernel(tcgen05 gemm_tcgen05.cuh no_fence_before_load
               "ready_parity);\n        tcgen05_fence_after_thread_sync();" "ready_parity);")
planted_kernel(tcgen05 gemm_tcgen05.cuh no_wait_for_load "          tcgen05_wait_ld(v);\n" "")
planted_kernel(tcgen05 gemm_tcgen05.cuh no_fence_after_load
               "release(uint32_t buffer) {\n    tcgen05_fence_before_thread_sync();" "release(uint32_t buffer) {")
planted_kernel(tcgen05 gemm_tcgen05.cuh buffer_given_back_too_early "taken(buffer), k_tcgen05_store_warps" "taken(buffer), 1")
planted_kernel(tcgen05 gemm_tcgen05.cuh wrong_lanes "(quarter * 32 << 16)" "(quarter * 16 << 16)")
planted_kernel(tcgen05 gemm_tcgen05.cuh never_freed "tcgen05_dealloc<k_columns>(memory);" "")
