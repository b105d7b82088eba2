# Tests of the translator.
set(ptx_test_directory ${CMAKE_CURRENT_LIST_DIR})

add_executable(test_ptx_instructions ${ptx_test_directory}/instructions.cpp)
translated_modules(test_ptx_instructions ${ptx_test_directory}/instructions.ptx)
target_link_libraries(test_ptx_instructions PRIVATE gonka_ptx_machine)
target_include_directories(test_ptx_instructions PRIVATE test/native)
add_test(NAME ptx_instructions COMMAND test_ptx_instructions)

add_executable(test_ptx_refusals ${ptx_test_directory}/refusals.cpp)
target_link_libraries(test_ptx_refusals PRIVATE gonka_ptx_translator)
target_include_directories(test_ptx_refusals PRIVATE test/native)
add_test(NAME ptx_refusals COMMAND test_ptx_refusals)
