// Functions that glibc moved or renamed from 2.29 on, under the names and versions that they had before and still have,
// so that a library built on a new system runs on an old one. The linker gives every call to `function`, in the C++
// library that is linked in too, to `__wrap_function`; older_glibc.cmake lists them.
#include <dlfcn.h>
#include <pthread.h>
#include <sys/stat.h>

#if defined(__x86_64__)
#define OLDEST "GLIBC_2.2.5"
constexpr int kStatVersion = 1;
#elif defined(__aarch64__)
#define OLDEST "GLIBC_2.17"
constexpr int kStatVersion = 0;
#endif

// `result old_NAME(parameters)` is NAME as the first glibc for this processor had it.
#define OLD(result, name, parameters)                   \
    __asm__(".symver old_" #name "," #name "@" OLDEST); \
    result old_##name parameters;

extern "C" {
OLD(void *, dlopen, (const char *, int))
OLD(void *, dlsym, (void *, const char *))
OLD(char *, dlerror, ())
OLD(int, dladdr, (const void *, Dl_info *))
OLD(int, pthread_create, (pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))
OLD(int, pthread_join, (pthread_t, void **))
OLD(int, __xstat, (int, const char *, struct stat *))
OLD(int, __fxstat, (int, int, struct stat *))
OLD(double, exp2, (double))

void *__wrap_dlopen(const char *path, int flags) { return old_dlopen(path, flags); }
void *__wrap_dlsym(void *library, const char *name) { return old_dlsym(library, name); }
char *__wrap_dlerror() { return old_dlerror(); }
int __wrap_dladdr(const void *address, Dl_info *info) { return old_dladdr(address, info); }
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
    return old_pthread_create(thread, attributes, run, argument);
}
int __wrap_pthread_join(pthread_t thread, void **result) { return old_pthread_join(thread, result); }
int __wrap_stat(const char *path, struct stat *found) { return old___xstat(kStatVersion, path, found); }
int __wrap_fstat(int file, struct stat *found) { return old___fxstat(kStatVersion, file, found); }
double __wrap_exp2(double x) { return old_exp2(x); }

// By which shared pointers learn that they may count without atomic instructions. They always use them here.
char __libc_single_threaded = 0;
}
