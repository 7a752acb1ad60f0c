# Chat templates, and a program for comparing them with jinja2 by hand (docs/templates.md).
andiron_test(test_template SOURCES test_template.c rendered.c USES text)
andiron_test(test_template_golden SOURCES test_template_golden.c rendered.c USES text)
andiron_test(test_template_safety SOURCES test_template_safety.c rendered.c USES text)
andiron_fuzz(fuzz_template SOURCES ../fuzz/fuzz_template.c USES text
  CORPUS "${CMAKE_CURRENT_SOURCE_DIR}/../fuzz/corpus/template")
add_executable(render_template render_template.c)
target_link_libraries(render_template PRIVATE text andiron_flags)
# Budgets are measured in time too; what is instrumented may take longer.
if(ANDIRON_SANITIZE OR CMAKE_BUILD_TYPE STREQUAL "Debug" OR CMAKE_C_FLAGS MATCHES "coverage")
  set_tests_properties(test_template_safety PROPERTIES ENVIRONMENT ANDIRON_TEST_PATIENCE=20)
endif()
