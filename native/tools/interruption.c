#include "interruption.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

enum { PATIENCE = 500 /* milliseconds */ };

static volatile sig_atomic_t came;
/* A handler may not call the library, so it wakes a thread that may. */
static int wake[2] = {-1, -1};
static pthread_t watcher;
static bool watching;

static void note(int number) {
    const int before = errno;
    if (came == 0) came = number;
    if (write(wake[1], "", 1) < 0) came = number; /* a full pipe wakes the thread too */
    errno = before;
}

void watch_signals(void) {
    static const int NUMBERS[] = {SIGINT, SIGTERM, SIGHUP};
    if (pipe(wake) != 0) return; /* then the signals end the process at once */
    for (size_t i = 0; i < sizeof NUMBERS / sizeof NUMBERS[0]; ++i) {
        struct sigaction action = {.sa_handler = note}, before;
        /* Under nohup SIGHUP is ignored; leave it so. */
        if (sigaction(NUMBERS[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
            sigaction(NUMBERS[i], &action, NULL);
        }
    }
    signal(SIGPIPE, SIG_IGN);
}

int signal_that_came(void) { return came; }

/* Whether a byte came within so many milliseconds; -1: however long that takes. */
static bool woken(int milliseconds) {
    struct pollfd waiting = {.fd = wake[0], .events = POLLIN};
    char byte;
    return poll(&waiting, 1, milliseconds) > 0 && read(wake[0], &byte, 1) == 1;
}

static void *cancel_when_told(void *codec) {
    while (!woken(-1)) continue;
    if (came == 0) return NULL; /* the work is done */
    ec_codec_cancel(codec);
    if (!woken(PATIENCE)) _exit(128 + came);
    return NULL;
}

void begin_cancellable(ec_codec *codec) {
    watching = wake[0] >= 0 && pthread_create(&watcher, NULL, cancel_when_told, codec) == 0;
}

void end_cancellable(void) {
    if (!watching) return;
    while (write(wake[1], "", 1) < 0 && errno == EINTR) continue;
    pthread_join(watcher, NULL);
    watching = false;
}
