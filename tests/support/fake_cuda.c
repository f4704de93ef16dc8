/* A CUDA driver without a GPU: its memory is the processor's, and streams do their work when they are waited for, so
 * that whoever looks at results before that sees none. Work is recorded as the driver records it. `fake_failing` makes
 * a function fail; `fake_live` counts what has not been released. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define OK 0
#define INVALID_VALUE 1
#define OUT_OF_MEMORY 2
#define UNSUPPORTED_IN_CAPTURE 900

typedef void (*work)(void);

typedef struct item {
    void *to;
    const void *from; /* NULL where it is work of TensorRT's */
    size_t size;
    work call;
} item;

typedef struct list {
    item items[64];
    int count;
} list;

typedef struct stream {
    list queue, recorded;
    int capturing;
} stream;

static char failing[64];
static int live, allocations, depth;

void fake_failing(const char *name) { strncpy(failing, name, sizeof failing - 1); }
int fake_live(void) { return live; }
int fake_allocations(void) { return allocations; }
int fake_depth(void) { return depth; }

static int fails(const char *name) { return strcmp(failing, name) == 0; }

int cuInit(unsigned flags) { return fails("cuInit") ? 100 : flags; }
int cuDeviceGet(int *device, int number) { return *device = number, OK; }
int cuDriverGetVersion(int *version) { return *version = 12060, OK; }
int cuDeviceGetName(char *name, int size, int device) {
    (void)device;
    return strncpy(name, "Fake Orin", size), OK;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    (void)device;
    *value = attribute == 75 ? 8 : attribute == 76 ? 7 : 16;
    return OK;
}
int cuGetErrorName(int status, const char **name) {
    *name = status == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : "CUDA_ERROR_OF_TESTS";
    return OK;
}
int cuDevicePrimaryCtxRetain(void **context, int device) {
    (void)device;
    return *context = failing, OK;
}
int cuCtxPushCurrent_v2(void *context) {
    (void)context;
    return ++depth, OK;
}
int cuCtxPopCurrent_v2(void **context) {
    *context = NULL;
    return --depth, OK;
}

static int allocate(const char *name, void **out, size_t size) {
    if (depth == 0) return INVALID_VALUE;
    if (fails(name)) return OUT_OF_MEMORY;
    *out = malloc(size);
    memset(*out, 0x5A, size);
    return ++live, ++allocations, OK;
}
int cuMemAlloc_v2(uint64_t *out, size_t size) {
    void *memory = NULL;
    const int status = allocate("cuMemAlloc_v2", &memory, size);
    return *out = (uintptr_t)memory, status;
}
int cuMemHostAlloc(void **out, size_t size, unsigned flags) {
    (void)flags;
    return allocate("cuMemHostAlloc", out, size);
}
int cuMemFreeHost(void *memory) { return free(memory), --live, OK; }
int cuMemFree_v2(uint64_t memory) { return cuMemFreeHost((void *)(uintptr_t)memory); }

static int add(stream *to, item what) {
    list *where = to->capturing ? &to->recorded : &to->queue;
    if (depth == 0 || where->count == 64) return INVALID_VALUE;
    where->items[where->count++] = what;
    return OK;
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t size, stream *on) {
    return add(on, (item){(void *)(uintptr_t)to, from, size, NULL});
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t size, stream *on) {
    return add(on, (item){to, (void *)(uintptr_t)from, size, NULL});
}
/* What TensorRT gives a stream to do. */
int fake_enqueue(stream *on, work call) { return add(on, (item){NULL, NULL, 0, call}); }

int cuStreamCreate(stream **out, unsigned flags) {
    if (flags != 1) return INVALID_VALUE;
    *out = calloc(1, sizeof **out);
    return ++live, ++allocations, OK;
}
int cuStreamDestroy_v2(stream *each) { return free(each), --live, OK; }
int cuStreamSynchronize(stream *each) {
    if (each->capturing) return UNSUPPORTED_IN_CAPTURE;
    for (int i = 0; i < each->queue.count; ++i) {
        const item *next = &each->queue.items[i];
        if (next->call != NULL) {
            next->call();
        } else {
            memcpy(next->to, next->from, next->size);
        }
    }
    each->queue.count = 0;
    return fails("cuStreamSynchronize") ? 700 : OK;
}
int cuStreamBeginCapture_v2(stream *each, int mode) {
    if (mode != 1 || each->capturing || each->queue.count) return INVALID_VALUE;
    each->recorded.count = 0;
    return each->capturing = 1, OK;
}
int cuStreamEndCapture(stream *each, list **graph) {
    if (!each->capturing) return INVALID_VALUE;
    each->capturing = 0;
    *graph = NULL;
    if (fails("cuStreamEndCapture")) return 901;
    *graph = malloc(sizeof **graph);
    **graph = each->recorded;
    return ++live, OK;
}
int cuGraphInstantiateWithFlags(list **out, const list *graph, unsigned long long flags) {
    if (fails("cuGraphInstantiateWithFlags") || flags) return 801;
    *out = malloc(sizeof **out);
    **out = *graph;
    return ++live, OK;
}
int cuGraphLaunch(const list *graph, stream *on) {
    if (on->capturing) return UNSUPPORTED_IN_CAPTURE;
    for (int i = 0; i < graph->count; ++i) {
        if (add(on, graph->items[i]) != OK) return INVALID_VALUE;
    }
    return OK;
}
int cuGraphExecDestroy(list *graph) { return free(graph), --live, OK; }
int cuGraphDestroy(list *graph) { return free(graph), --live, OK; }
