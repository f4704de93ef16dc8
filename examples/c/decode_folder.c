/* Decodes every .edgc file of a folder, with two threads: while the engine works on a picture, another thread reads the
 * next file and decodes its latents.
 *
 *     decode_folder coded/ hific.bundle pictures/
 */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edgecodec/edgecodec.h"
#include "failure.h"
#include "files.h"

/* A picture on its way from one thread to the other. The job reads the file, which therefore lives as long as it. */
typedef struct parcel {
    char name[256];
    uint8_t *file;
    ec_job *job; /* NULL where the file could not be parsed */
    ec_error error;
} parcel;

/* A place for one parcel. last: no more will come. */
typedef struct hatch {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    parcel *waiting;
    int last;
} hatch;

static void put(hatch *to, parcel *one) {
    pthread_mutex_lock(&to->mutex);
    while (to->waiting != NULL) pthread_cond_wait(&to->changed, &to->mutex);
    to->waiting = one;
    to->last = one == NULL;
    pthread_cond_broadcast(&to->changed);
    pthread_mutex_unlock(&to->mutex);
}

static parcel *take(hatch *from) {
    pthread_mutex_lock(&from->mutex);
    while (from->waiting == NULL && !from->last) pthread_cond_wait(&from->changed, &from->mutex);
    parcel *one = from->waiting;
    from->waiting = NULL;
    pthread_cond_broadcast(&from->changed);
    pthread_mutex_unlock(&from->mutex);
    return one;
}

typedef struct reader {
    const char *folder;
    ec_codec *codec;
    hatch *to;
} reader;

static int is_coded(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot != NULL && strcmp(dot, ".edgc") == 0;
}

/* The first thread: files to jobs. A codec may be used by several threads; a job belongs to one at a time. */
static void *read_folder(void *argument) {
    const reader *self = (const reader *)argument;
    DIR *folder = opendir(self->folder);
    if (folder == NULL) perror(self->folder);
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        char path[4096];
        size_t size = 0;
        if (!is_coded(entry->d_name)) continue;
        parcel *one = (parcel *)calloc(1, sizeof *one);
        if (one == NULL) break;
        one->error.struct_size = sizeof one->error; /* what EC_INIT does where a variable is declared */
        snprintf(one->name, sizeof one->name, "%s", entry->d_name);
        snprintf(path, sizeof path, "%s/%s", self->folder, entry->d_name);
        one->file = read_file(path, &size);
        /* When this returns, the entropy stage is over. */
        if (one->file != NULL) ec_job_decode(self->codec, one->file, size, NULL, &one->job, &one->error);
        put(self->to, one);
    }
    if (folder != NULL) closedir(folder);
    put(self->to, NULL);
    return NULL;
}

/* The second: jobs to pictures. */
static ec_status finish(parcel *one, const char *folder) {
    ec_picture picture = EC_INIT(ec_picture);
    char path[4096];
    ec_status status = one->job == NULL ? (ec_status)one->error.status : ec_job_run(one->job, &one->error);
    if (status == EC_OK && one->job != NULL) status = ec_job_finish_decode(one->job, &picture, &one->error);
    if (status == EC_OK && picture.pixels != NULL) {
        snprintf(path, sizeof path, "%s/%.*s.ppm", folder, (int)(strrchr(one->name, '.') - one->name), one->name);
        if (write_picture(path, picture.pixels, picture.width, picture.height, picture.channels, picture.row_stride) !=
            0) {
            status = EC_CANNOT_READ; /* or write */
        }
    }
    ec_free(picture.pixels);
    return status;
}

int main(int count, char **arguments) {
    ec_error error = EC_INIT(ec_error);
    ec_bundle *bundle = NULL;
    ec_codec *codec = NULL;
    hatch between = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, 0};
    pthread_t thread;
    int failed = 0;

    if (count != 4) {
        fprintf(stderr, "usage: %s FOLDER BUNDLE OUT_FOLDER\n", arguments[0]);
        return 2;
    }
    ec_status status = ec_bundle_open(arguments[2], &bundle, &error);
    if (status == EC_OK) status = ec_codec_open(bundle, NULL, &codec, &error);
    if (status != EC_OK) {
        complain(&error, arguments[2]);
        ec_bundle_close(bundle);
        return status / 10;
    }

    reader first = {arguments[1], codec, &between};
    if (pthread_create(&thread, NULL, read_folder, &first) != 0) return 1;
    for (parcel *one; (one = take(&between)) != NULL;) {
        status = finish(one, arguments[3]);
        /* A damaged picture ends its own work and nobody else's. */
        if (one->error.message[0] != 0) fprintf(stderr, "%s: %s\n", one->name, one->error.message);
        if (status != EC_OK || one->file == NULL) failed = 1;
        ec_job_close(one->job);
        free(one->file);
        free(one);
    }
    pthread_join(thread, NULL);
    ec_codec_close(codec);
    ec_bundle_close(bundle);
    return failed;
}
