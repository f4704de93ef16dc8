# What `cmake --install` gives a C or C++ program: the library, its header, the tool edgecodec-decode, and files by which
# CMake (find_package(edgecodec), target edgecodec::edgecodec) and pkg-config find them. The folder can be moved.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

# The name that programs ask for at run time changes with the major version, like the version of the public symbols.
set_target_properties(edgecodec PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
install(TARGETS edgecodec EXPORT edgecodec
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/edgecodec/edgecodec.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/edgecodec)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/edgecodec)
install(EXPORT edgecodec NAMESPACE edgecodec:: FILE edgecodecConfig.cmake DESTINATION ${package_folder})
# Before 1.0.0 a minor version may change the interface.
write_basic_package_version_file(edgecodecConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/edgecodecConfigVersion.cmake DESTINATION ${package_folder})

file(RELATIVE_PATH prefix_from_pkgconfig /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(cmake/edgecodec.pc.in edgecodec.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/edgecodec.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# The tool uses POSIX for files and signals.
if(UNIX)
  enable_language(C)
  file(GLOB tool_sources CONFIGURE_DEPENDS tools/*.c)
  add_executable(edgecodec-decode ${tool_sources})
  target_compile_options(edgecodec-decode PRIVATE -std=c99 -Wall -Wextra -Wpedantic -Werror)
  target_compile_definitions(edgecodec-decode PRIVATE _XOPEN_SOURCE=700)
  target_link_libraries(edgecodec-decode PRIVATE edgecodec Threads::Threads)
  if(EDGECODEC_SANITIZE)
    target_compile_options(edgecodec-decode PRIVATE -fsanitize=address,undefined -fno-sanitize-recover=all)
    target_link_options(edgecodec-decode PRIVATE -fsanitize=address,undefined)
  endif()
  file(RELATIVE_PATH library_from_tool /prefix/${CMAKE_INSTALL_BINDIR} /prefix/${CMAKE_INSTALL_LIBDIR})
  set_target_properties(edgecodec-decode PROPERTIES INSTALL_RPATH "$ORIGIN/${library_from_tool}")
  install(TARGETS edgecodec-decode RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
