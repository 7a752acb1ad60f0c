# Flags of every target of ours. Floats keep the order in which they are written: no contraction, no fast-math.
add_library(andiron_flags INTERFACE)
target_compile_definitions(andiron_flags INTERFACE _GNU_SOURCE)
target_compile_options(andiron_flags INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wundef -Wvla
  -Wformat=2 -Wwrite-strings -Wcast-qual -Wdouble-promotion
  -ffp-contract=off -fno-math-errno -fno-trapping-math)
if(CMAKE_C_COMPILER_ID MATCHES "Clang") # GCC's pragmas of loops are hints
  target_compile_options(andiron_flags INTERFACE -Wno-unknown-pragmas)
endif()
if(ANDIRON_SANITIZE)
  target_compile_options(andiron_flags INTERFACE -fsanitize=${ANDIRON_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
  target_link_options(andiron_flags INTERFACE -fsanitize=${ANDIRON_SANITIZE})
endif()
if(ANDIRON_FUZZ)
  target_compile_options(andiron_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
