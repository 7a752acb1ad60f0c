# A room is a folder under src/ and a static library of that name. A file may include a header of
# another room ("base/arena.h") only if its room is declared to use that room: each room's headers are
# reached through a folder that holds nothing but that room.

function(andiron_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;USES" ${ARGN})
  set(door "${PROJECT_BINARY_DIR}/rooms/${name}")
  file(MAKE_DIRECTORY "${door}")
  file(CREATE_LINK "${CMAKE_CURRENT_SOURCE_DIR}" "${door}/${name}" SYMBOLIC)
  add_library(${name} STATIC ${ROOM_SOURCES})
  target_include_directories(${name} PUBLIC "${door}" "${PROJECT_SOURCE_DIR}/include")
  target_link_libraries(${name} PUBLIC ${ROOM_USES} PRIVATE andiron_flags)
  set_property(GLOBAL APPEND PROPERTY ANDIRON_ROOMS ${name})
endfunction()

# andiron_test(name SOURCES a.c ... USES room ...): a cmocka program, run by ctest under its name.
function(andiron_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;USES;ARGS" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE ${TEST_USES} andiron_flags cmocka)
  target_compile_definitions(${name} PRIVATE SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name} ${TEST_ARGS})
endfunction()

# andiron_fuzz(name SOURCES a.c USES room ... CORPUS dir|file ... [MUTANTS n]): a file with LLVMFuzzerTestOneInput. It
# is linked with tests/fuzz/replay.c and run over its corpus, and over n mutants of each file of it, as ordinary tests;
# with ANDIRON_FUZZ (clang) also as a fuzzer.
function(andiron_fuzz name)
  cmake_parse_arguments(FUZZ "" "MUTANTS" "SOURCES;USES;CORPUS" ${ARGN})
  set(driver "${PROJECT_SOURCE_DIR}/tests/fuzz")
  add_executable(${name} ${FUZZ_SOURCES} "${driver}/replay.c" "${driver}/mutate.c" "${driver}/mutate_gguf.c")
  target_link_libraries(${name} PRIVATE ${FUZZ_USES} andiron_flags)
  target_compile_definitions(${name} PRIVATE SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE base)
  add_test(NAME ${name} COMMAND ${name} ${FUZZ_CORPUS})
  if(FUZZ_MUTANTS)
    add_test(NAME ${name}_mutants COMMAND ${name} --seconds 60 --mutate ${FUZZ_MUTANTS} ${FUZZ_CORPUS})
  endif()
  if(ANDIRON_FUZZ)
    add_executable(${name}_live ${FUZZ_SOURCES})
    target_link_libraries(${name}_live PRIVATE ${FUZZ_USES} andiron_flags -fsanitize=fuzzer)
    target_compile_definitions(${name}_live PRIVATE SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  endif()
endfunction()
