# Keeps the library at glibc 2.17 (manylinux_2_17) where a newer one is built with: cmake/older_glibc.cpp.
include(CheckCXXSourceCompiles)
# Before 2.34 there is nothing to wrap, and other C libraries and processors have no such versions.
check_cxx_source_compiles("#include <cstdlib>
#if !defined(__GLIBC_PREREQ) || !__GLIBC_PREREQ(2, 34) || !(defined(__x86_64__) || defined(__aarch64__))
#error nothing to do
#endif
int main() {}" older_glibc_is_possible)
# Sanitizers wrap some of these functions themselves.
if(older_glibc_is_possible AND NOT EDGECODEC_SANITIZE AND NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  # A library of its own: programs that take the objects of libedgecodec do not wrap these functions.
  add_library(edgecodec_older_glibc STATIC cmake/older_glibc.cpp)
  target_compile_options(edgecodec_older_glibc PRIVATE -Wall -Wextra -Werror)
  target_link_libraries(edgecodec PRIVATE edgecodec_older_glibc)
  foreach(function dlopen dlsym dlerror dladdr pthread_create pthread_join stat fstat exp2)
    target_link_options(edgecodec PRIVATE -Wl,--wrap=${function})
  endforeach()
  # Where the functions are in an old system. A new one has empty libraries of these names.
  target_link_options(edgecodec PRIVATE
    -Wl,--push-state,--no-as-needed -l:libdl.so.2 -l:libpthread.so.0 -Wl,--pop-state)
endif()
