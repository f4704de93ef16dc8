#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interruption.h"
#include "message.h"

enum { BLOCK = 1 << 20 };

bool is_standard_stream(const char *path) { return strcmp(path, "-") == 0; }

static const char *name_of(const char *path, const char *stream) { return is_standard_stream(path) ? stream : path; }

/* In blocks, so that an endless stream does not decide how much is allocated. */
static ec_status read_all(int descriptor, const char *name, size_t most, unsigned char **data, size_t *size,
                          ec_error *error) {
    size_t capacity = 0;
    *data = NULL;
    *size = 0;
    for (;;) {
        if (capacity - *size < BLOCK) {
            capacity = capacity < BLOCK ? BLOCK : 2 * capacity;
            unsigned char *larger = realloc(*data, capacity);
            if (larger == NULL) return refuse(error, EC_NO_MEMORY, name, NULL, "not enough memory");
            *data = larger;
        }
        const ssize_t got = read(descriptor, *data + *size, capacity - *size);
        if (got < 0 && errno == EINTR && signal_that_came() == 0) continue;
        if (got < 0) return refuse_access(error, EC_CANNOT_READ, name, errno);
        if (got == 0) return EC_OK;
        *size += (size_t)got;
        if (*size > most) {
            return refuse(error, EC_LIMIT, name, NULL, "the file is larger than the limit of %llu bytes",
                          (unsigned long long)most);
        }
    }
}

ec_status read_file(const char *path, size_t most, unsigned char **data, size_t *size, ec_error *error) {
    const char *name = name_of(path, "standard input");
    const int descriptor = is_standard_stream(path) ? STDIN_FILENO : open(path, O_RDONLY);
    if (descriptor < 0) return refuse_access(error, EC_CANNOT_READ, name, errno);
    const ec_status status = read_all(descriptor, name, most, data, size, error);
    if (descriptor != STDIN_FILENO) close(descriptor);
    if (status != EC_OK) {
        free(*data);
        *data = NULL;
    }
    return status;
}

ec_status check_places(const char *bundle, const char *output, ec_error *error) {
    struct stat there;
    char folder[4096];
    const char *slash = strrchr(output, '/');
    if (!is_standard_stream(output) && stat(output, &there) != 0 && slash != NULL && slash != output &&
        (size_t)(slash - output) < sizeof folder) {
        memcpy(folder, output, (size_t)(slash - output));
        folder[slash - output] = '\0';
        if (stat(folder, &there) != 0 || !S_ISDIR(there.st_mode)) {
            return refuse(error, CANNOT_WRITE, folder, "make it, or correct the name", "there is no such folder");
        }
    }
    if (stat(bundle, &there) != 0 && errno == ENOENT) {
        return refuse(error, EC_NOT_A_BUNDLE, bundle, "check the path", "is not there");
    }
    return EC_OK;
}

ec_status check_output(const char *output, const char *input, bool force, ec_error *error) {
    struct stat there, source;
    if (is_standard_stream(output) || lstat(output, &there) != 0) return EC_OK;
    if (stat(output, &there) == 0) {
        const int known = is_standard_stream(input) ? fstat(STDIN_FILENO, &source) : stat(input, &source);
        if (known == 0 && S_ISREG(there.st_mode) && there.st_dev == source.st_dev && there.st_ino == source.st_ino) {
            return refuse(error, EC_INVALID_ARGUMENT, NULL, "an input is never overwritten: give another -o",
                          "%s is the input %s", output, input);
        }
        if (S_ISDIR(there.st_mode)) return refuse_access(error, CANNOT_WRITE, output, EISDIR);
        if (!S_ISREG(there.st_mode)) return EC_OK; /* a device, to be written to */
    }
    return force ? EC_OK : refuse(error, OUTPUT_EXISTS, output, "--force overwrites it", "exists already");
}

/* 0, or an error number. */
static int write_parts(int descriptor, const part *parts, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        const unsigned char *at = parts[i].data;
        size_t left = parts[i].size;
        while (left > 0) {
            const ssize_t written = write(descriptor, at, left);
            if (written < 0 && (errno != EINTR || signal_that_came() != 0)) return errno;
            if (written > 0) {
                at += written;
                left -= (size_t)written;
            }
        }
    }
    return 0;
}

static int write_in_place(const char *path, const part *parts, size_t count) {
    const int descriptor = open(path, O_WRONLY);
    if (descriptor < 0) return errno;
    const int failed = write_parts(descriptor, parts, count);
    return close(descriptor) != 0 && failed == 0 ? errno : failed;
}

/* Makes a new file beside `target`. Its name has a length of its own, because names are limited in bytes. */
static int open_temporary(const char *target, char *temporary, size_t size) {
    const char *slash = strrchr(target, '/');
    const int folder = slash == NULL ? 0 : (int)(slash - target + 1);
    for (int attempt = 0; attempt < 1000; ++attempt) {
        snprintf(temporary, size, "%.*s.edgecodec-%ld-%d.part", folder, target, (long)getpid(), attempt);
        const int descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL, 0666);
        if (descriptor >= 0 || errno != EEXIST) return descriptor;
    }
    return -1;
}

/* Owner and mode of the file that is to be replaced, as far as the system allows; before the first byte is in it. */
static void take_permissions(int descriptor, const char *target) {
    struct stat replaced;
    if (stat(target, &replaced) != 0) return;
    if (fchown(descriptor, replaced.st_uid, replaced.st_gid) != 0) errno = 0; /* only the administrator may */
    if (fchmod(descriptor, replaced.st_mode & 07777) != 0) errno = 0;         /* a file system without modes */
}

/* 0, or an error number; EINTR where a signal ends the tool. */
static int replace(const char *target, const part *parts, size_t count, char *temporary, size_t size) {
    const int descriptor = open_temporary(target, temporary, size);
    if (descriptor < 0) return errno;
    take_permissions(descriptor, target);
    int failed = write_parts(descriptor, parts, count);
    if (failed == 0 && fsync(descriptor) != 0) failed = errno;
    if (close(descriptor) != 0 && failed == 0) failed = errno;
    if (failed == 0 && signal_that_came() != 0) failed = EINTR;
    if (failed == 0 && rename(temporary, target) != 0) failed = errno;
    if (failed != 0) unlink(temporary);
    return failed;
}

/* A link is followed, so that the file it names is replaced and not the link. */
static int replace_linked(const char *path, const part *parts, size_t count) {
    char *resolved = realpath(path, NULL);
    const char *target = resolved == NULL ? path : resolved;
    const size_t size = strlen(target) + 64; /* of the temporary file's name */
    char *temporary = malloc(size);
    const int failed = temporary == NULL ? ENOMEM : replace(target, parts, count, temporary, size);
    free(temporary);
    free(resolved);
    return failed;
}

ec_status write_file(const char *path, const part *parts, size_t count, ec_error *error) {
    struct stat there;
    int failed;
    if (is_standard_stream(path)) {
        failed = write_parts(STDOUT_FILENO, parts, count);
    } else if (stat(path, &there) == 0 && !S_ISREG(there.st_mode)) {
        failed = write_in_place(path, parts, count);
    } else {
        failed = replace_linked(path, parts, count);
    }
    return failed == 0 ? EC_OK : refuse_access(error, CANNOT_WRITE, name_of(path, "standard output"), failed);
}
