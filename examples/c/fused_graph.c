/* Decodes with ONNX Runtime's own interface and a fused graph: one file that takes the bytes of a coded picture and
 * gives pixels, because an operator of libedgecodec in it does the entropy stage. So can a program that has a session
 * of ONNX Runtime already, in any language that can register a library of operators. Large pictures are not tiled here,
 * and knobs are those of the graph.
 *
 *     fused_graph libonnxruntime.so.1 libedgecodec.so.0 decode.onnx photo.edgc photo.ppm
 *
 * ONNX Runtime's library is opened by its name: its symbols carry the version of the release, so that a program that
 * was linked with one release starts with no other. Needs its header, onnxruntime_c_api.h.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "files.h"
#include "onnxruntime_c_api.h"

static const OrtApi *ort;

/* Every call gives NULL or what went wrong. An example may end here; a program would pass it on. */
static void check(OrtStatus *status) {
    if (status == NULL) return;
    fprintf(stderr, "%s\n", ort->GetErrorMessage(status));
    ort->ReleaseStatus(status);
    exit(6);
}

static const OrtApi *open_runtime(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return NULL;
    }
    const OrtApiBase *(*get)(void) = NULL;
    *(void **)&get = dlsym(library, "OrtGetApiBase"); /* as POSIX has it: an object pointer that holds a function's */
    return get == NULL ? NULL : get()->GetApi(ORT_API_VERSION);
}

/* A session whose graph may hold the operator. */
static OrtSession *open_session(const OrtEnv *environment, const char *operators, const char *graph) {
    OrtSessionOptions *options = NULL;
    OrtSession *session = NULL;
    check(ort->CreateSessionOptions(&options));
    check(ort->RegisterCustomOpsLibrary_V2(options, operators));
    check(ort->CreateSession(environment, graph, options, &session));
    ort->ReleaseSessionOptions(options);
    return session;
}

/* Name of the graph's only input or output. */
static char *only_name(const OrtSession *session, OrtAllocator *allocator, int is_input) {
    char *name = NULL;
    check(is_input ? ort->SessionGetInputName(session, 0, allocator, &name)
                   : ort->SessionGetOutputName(session, 0, allocator, &name));
    return name;
}

/* The bytes as a tensor, which borrows them. */
static OrtValue *as_tensor(uint8_t *data, size_t size) {
    OrtMemoryInfo *memory = NULL;
    OrtValue *value = NULL;
    const int64_t shape[1] = {(int64_t)size};
    check(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
    check(
        ort->CreateTensorWithDataAsOrtValue(memory, data, size, shape, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, &value));
    ort->ReleaseMemoryInfo(memory);
    return value;
}

/* A tensor (rows, columns, channels) of uint8 to a file. */
static int write_tensor(const char *path, OrtValue *tensor) {
    OrtTensorTypeAndShapeInfo *info = NULL;
    ONNXTensorElementDataType type;
    int64_t shape[3] = {0, 0, 0};
    size_t rank = 0;
    void *pixels = NULL;
    check(ort->GetTensorTypeAndShape(tensor, &info));
    check(ort->GetTensorElementType(info, &type));
    check(ort->GetDimensionsCount(info, &rank));
    if (rank == 3) check(ort->GetDimensions(info, shape, rank));
    ort->ReleaseTensorTypeAndShapeInfo(info);
    if (rank != 3 || type != ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 || (shape[2] != 1 && shape[2] != 3)) {
        fprintf(stderr, "the graph's output is no picture\n");
        return -1;
    }
    check(ort->GetTensorMutableData(tensor, &pixels));
    return write_picture(path, (const uint8_t *)pixels, (uint32_t)shape[1], (uint32_t)shape[0], (uint32_t)shape[2],
                         (size_t)(shape[1] * shape[2]));
}

int main(int count, char **arguments) {
    if (count != 6) {
        fprintf(stderr, "usage: %s ONNXRUNTIME_LIBRARY EDGECODEC_LIBRARY GRAPH IN.edgc OUT.ppm\n", arguments[0]);
        return 2;
    }
    ort = open_runtime(arguments[1]);
    if (ort == NULL) return 6;
    size_t size = 0;
    uint8_t *file = read_file(arguments[4], &size);
    if (file == NULL) return 7;

    OrtEnv *environment = NULL;
    OrtAllocator *allocator = NULL;
    check(ort->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "fused_graph", &environment));
    check(ort->GetAllocatorWithDefaultOptions(&allocator));
    OrtSession *session = open_session(environment, arguments[2], arguments[3]);
    char *input_name = only_name(session, allocator, 1), *output_name = only_name(session, allocator, 0);

    const char *const inputs[1] = {input_name}, *const outputs[1] = {output_name};
    OrtValue *bytes = as_tensor(file, size), *picture = NULL;
    check(ort->Run(session, NULL, inputs, (const OrtValue *const *)&bytes, 1, outputs, 1, &picture));
    const int failed = write_tensor(arguments[5], picture);

    ort->ReleaseValue(picture);
    ort->ReleaseValue(bytes);
    check(ort->AllocatorFree(allocator, input_name));
    check(ort->AllocatorFree(allocator, output_name));
    ort->ReleaseSession(session);
    ort->ReleaseEnv(environment);
    free(file);
    return failed ? 7 : 0;
}
