# The rooms' objects in one library, static and shared, and what an installed copy consists of. Of the shared one only
# what include/andiron.h marks ANDIRON_API can be linked to (everything else is hidden).
get_property(rooms GLOBAL PROPERTY ANDIRON_ROOMS)
set(objects "")
foreach(room ${rooms})
  list(APPEND objects $<TARGET_OBJECTS:${room}>)
endforeach()
add_library(andiron_static STATIC ${objects})
add_library(andiron_shared SHARED ${objects})
foreach(library andiron_static andiron_shared)
  set_target_properties(${library} PROPERTIES OUTPUT_NAME andiron LINKER_LANGUAGE C
    ARCHIVE_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib" LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
  target_include_directories(${library} INTERFACE "${PROJECT_SOURCE_DIR}/include")
  target_link_libraries(${library} PRIVATE jansson pcre2 utf8proc Threads::Threads m andiron_flags)
endforeach()
set_target_properties(andiron_shared PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
if(NOT ANDIRON_SANITIZE) # a sanitizer's runtime comes with the program
  target_link_options(andiron_shared PRIVATE -Wl,--no-undefined)
endif()

file(RELATIVE_PATH up_to_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(cmake/andiron.pc.in andiron.pc @ONLY)
install(TARGETS andiron_static andiron_shared)
install(FILES include/andiron.h TYPE INCLUDE)
install(FILES "${PROJECT_BINARY_DIR}/andiron.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
install(FILES docs/man/andiron.1 DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
install(FILES apps/cli/completions/andiron.bash RENAME andiron
  DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
install(FILES apps/cli/completions/_andiron DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/site-functions")
install(FILES apps/cli/completions/andiron.fish DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d")
