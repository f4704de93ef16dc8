// The part of ONNX Runtime's binary interface that is used here, so that no header of it is needed to build.
//
// Its C functions are a table of pointers that only ever grows at its end: each function is a number in that table and
// a signature. Enumerations are declared as int32_t. tests/native/onnxruntime_abi.cpp compares all of it with ONNX
// Runtime's own header.
#pragma once

#include <cstddef>
#include <cstdint>

namespace edgecodec::ort {

// Things that only ONNX Runtime knows the insides of.
struct Allocator;
struct CustomOpDomain;
struct Environment;
struct EpDevice;
struct HardwareDevice;
struct KernelContext;
struct KernelInfo;
struct MemoryInfo;
struct RunOptions;
struct Session;
struct SessionOptions;
struct ShapeAndType;
struct ShapeInferContext;
struct Status;
struct TypeInfo;
struct Value;
struct CudaOptions;
struct TensorrtOptions;

// What OrtGetApiBase returns. get_api: the table of functions, or NULL, with a line on standard error, for a version of
// the interface that is newer than the library.
struct ApiBase {
    const void *const *(*get_api)(uint32_t version);
    const char *(*get_version)();
};
using GetApiBase = const ApiBase *();

// Log levels.
constexpr int32_t kFatal = 4;
// Error codes.
constexpr int32_t kFail = 1, kInvalidArgument = 2;
// Kinds of values.
constexpr int32_t kTensor = 1, kSequence = 2, kMap = 3, kSparseTensor = 5, kOptional = 6;
// Types of a tensor's elements, those that edgecodec's tensors have.
constexpr int32_t kFloat = 1, kUint8 = 2, kInt16 = 5, kInt64 = 7, kBool = 9;
// Kinds of allocators, and where a kernel's input lies.
constexpr int32_t kDeviceAllocator = 0, kDefaultMemory = 0;
// Kinds of hardware; the processor's is 0.
constexpr int32_t kGpuHardware = 1, kNpuHardware = 2;
// How many tensors an input or output of an operator is.
constexpr int32_t kRequired = 0, kVariadic = 2;

// A function of the table.
template <class Signature, size_t position>
struct Slot {
    static constexpr size_t number = position;
    using Function = Signature;
};

// What returns a Status returns NULL where all is well. `T **out`: the caller releases what it gets.
inline constexpr Slot<Status *(int32_t code, const char *message), 0> CreateStatus;
inline constexpr Slot<int32_t(const Status *), 1> GetErrorCode;
inline constexpr Slot<const char *(const Status *), 2> GetErrorMessage;
inline constexpr Slot<Status *(int32_t level, const char *id, Environment **out), 3> CreateEnv;
inline constexpr Slot<
    Status *(const Environment *, const void *data, size_t size, const SessionOptions *, Session **out), 8>
    CreateSessionFromArray;
inline constexpr Slot<Status *(Session *, const RunOptions *, const char *const *input_names,
                               const Value *const *inputs, size_t inputs_size, const char *const *output_names,
                               size_t outputs_size, Value **outputs),
                      9>
    Run;
inline constexpr Slot<Status *(SessionOptions **out), 10> CreateSessionOptions;
inline constexpr Slot<Status *(SessionOptions *), 16> EnableMemPattern;
inline constexpr Slot<Status *(SessionOptions *), 17> DisableMemPattern;
inline constexpr Slot<Status *(SessionOptions *), 18> EnableCpuMemArena;
inline constexpr Slot<Status *(SessionOptions *), 19> DisableCpuMemArena;
inline constexpr Slot<Status *(SessionOptions *, int level), 22> SetSessionLogSeverityLevel;
inline constexpr Slot<Status *(SessionOptions *, int32_t level), 23> SetSessionGraphOptimizationLevel;
inline constexpr Slot<Status *(SessionOptions *, int threads), 24> SetIntraOpNumThreads;
inline constexpr Slot<Status *(const char *domain, CustomOpDomain **out), 26> CreateCustomOpDomain;
struct CustomOp;
inline constexpr Slot<Status *(CustomOpDomain *, const CustomOp *), 27> CustomOpDomain_Add;
inline constexpr Slot<Status *(SessionOptions *, CustomOpDomain *), 28> AddCustomOpDomain;
inline constexpr Slot<Status *(const Session *, size_t *out), 30> SessionGetInputCount;
inline constexpr Slot<Status *(const Session *, size_t *out), 31> SessionGetOutputCount;
inline constexpr Slot<Status *(const Session *, size_t index, TypeInfo **out), 33> SessionGetInputTypeInfo;
inline constexpr Slot<Status *(const Session *, size_t index, TypeInfo **out), 34> SessionGetOutputTypeInfo;
inline constexpr Slot<Status *(const Session *, size_t index, Allocator *, char **out), 36> SessionGetInputName;
inline constexpr Slot<Status *(const Session *, size_t index, Allocator *, char **out), 37> SessionGetOutputName;
inline constexpr Slot<Status *(RunOptions **out), 39> CreateRunOptions;
inline constexpr Slot<Status *(RunOptions *, int level), 41> RunOptionsSetRunLogSeverityLevel;
inline constexpr Slot<Status *(RunOptions *), 46> RunOptionsSetTerminate;
inline constexpr Slot<Status *(const MemoryInfo *, void *data, size_t bytes, const int64_t *shape, size_t rank,
                               int32_t type, Value **out),
                      49>
    CreateTensorWithDataAsOrtValue;
inline constexpr Slot<Status *(Value *, void **out), 51> GetTensorMutableData;
inline constexpr Slot<Status *(const TypeInfo *, const ShapeAndType **out), 55> CastTypeInfoToTensorInfo;
inline constexpr Slot<Status *(const TypeInfo *, int32_t *out), 56> GetOnnxTypeFromTypeInfo;
inline constexpr Slot<Status *(const ShapeAndType *, int32_t *out), 60> GetTensorElementType;
inline constexpr Slot<Status *(const ShapeAndType *, size_t *out), 61> GetDimensionsCount;
inline constexpr Slot<Status *(const ShapeAndType *, int64_t *out, size_t rank), 62> GetDimensions;
inline constexpr Slot<Status *(const ShapeAndType *, size_t *out), 64> GetTensorShapeElementCount;
inline constexpr Slot<Status *(const Value *, ShapeAndType **out), 65> GetTensorTypeAndShape;
inline constexpr Slot<Status *(int32_t allocator, int32_t memory, MemoryInfo **out), 69> CreateCpuMemoryInfo;
inline constexpr Slot<Status *(Allocator *, void *memory), 76> AllocatorFree;
inline constexpr Slot<Status *(Allocator **out), 78> GetAllocatorWithDefaultOptions;  // which is not released
inline constexpr Slot<Status *(const KernelInfo *, const char *name, int64_t *out), 86> KernelInfoGetAttribute_int64;
inline constexpr Slot<Status *(const KernelContext *, size_t *out), 89> KernelContext_GetOutputCount;
inline constexpr Slot<Status *(const KernelContext *, size_t index, const Value **out), 90> KernelContext_GetInput;
inline constexpr Slot<Status *(KernelContext *, size_t index, const int64_t *shape, size_t rank, Value **out), 91>
    KernelContext_GetOutput;
inline constexpr Slot<void(Environment *), 92> ReleaseEnv;
inline constexpr Slot<void(Status *), 93> ReleaseStatus;
inline constexpr Slot<void(MemoryInfo *), 94> ReleaseMemoryInfo;
inline constexpr Slot<void(Session *), 95> ReleaseSession;
inline constexpr Slot<void(Value *), 96> ReleaseValue;
inline constexpr Slot<void(RunOptions *), 97> ReleaseRunOptions;
inline constexpr Slot<void(TypeInfo *), 98> ReleaseTypeInfo;
inline constexpr Slot<void(ShapeAndType *), 99> ReleaseTensorTypeAndShapeInfo;
inline constexpr Slot<void(SessionOptions *), 100> ReleaseSessionOptions;
inline constexpr Slot<Status *(char ***out, int *count), 125> GetAvailableProviders;
inline constexpr Slot<Status *(char **providers, int count), 126> ReleaseAvailableProviders;
inline constexpr Slot<Status *(SessionOptions *, const char *key, const char *value), 130> AddSessionConfigEntry;
inline constexpr Slot<Status *(SessionOptions *, const TensorrtOptions *), 170>
    SessionOptionsAppendExecutionProvider_TensorRT_V2;
inline constexpr Slot<Status *(TensorrtOptions **out), 171> CreateTensorRTProviderOptions;
inline constexpr Slot<Status *(TensorrtOptions *, const char *const *keys, const char *const *values, size_t count),
                      172>
    UpdateTensorRTProviderOptions;
inline constexpr Slot<void(TensorrtOptions *), 174> ReleaseTensorRTProviderOptions;
inline constexpr Slot<Status *(SessionOptions *, const CudaOptions *), 204>
    SessionOptionsAppendExecutionProvider_CUDA_V2;
inline constexpr Slot<Status *(CudaOptions **out), 205> CreateCUDAProviderOptions;
inline constexpr Slot<Status *(CudaOptions *, const char *const *keys, const char *const *values, size_t count), 206>
    UpdateCUDAProviderOptions;
inline constexpr Slot<void(CudaOptions *), 208> ReleaseCUDAProviderOptions;
inline constexpr Slot<Status *(SessionOptions *, const char *const *names, const Value *const *values, size_t count),
                      210>
    AddExternalInitializers;
inline constexpr Slot<Status *(SessionOptions *, const char *provider, const char *const *keys,
                               const char *const *values, size_t count),
                      216>
    SessionOptionsAppendExecutionProvider;
inline constexpr Slot<Status *(const KernelInfo *, const char *name, Allocator *, Value **out), 236>
    KernelInfoGetAttribute_tensor;

// From version 22 of the interface on.
inline constexpr Slot<Status *(SessionOptions *, bool cancel), 293> SessionOptionsSetLoadCancellationFlag;
inline constexpr Slot<Status *(Environment *, const char *name, const char *path), 301>
    RegisterExecutionProviderLibrary;
// The devices belong to the environment.
inline constexpr Slot<Status *(const Environment *, const EpDevice *const **out, size_t *count), 303> GetEpDevices;
inline constexpr Slot<Status *(SessionOptions *, Environment *, const EpDevice *const *devices, size_t device_count,
                               const char *const *keys, const char *const *values, size_t count),
                      304>
    SessionOptionsAppendExecutionProvider_V2;
inline constexpr Slot<int32_t(const HardwareDevice *), 307> HardwareDevice_Type;
inline constexpr Slot<const char *(const HardwareDevice *), 309> HardwareDevice_Vendor;
inline constexpr Slot<const char *(const EpDevice *), 312> EpDevice_EpName;
inline constexpr Slot<const HardwareDevice *(const EpDevice *), 316> EpDevice_Device;

// An operator as it is registered: functions of its library that ONNX Runtime calls. `version`: of the interface that
// this was written against, which must not be newer than the library. Those that are NULL are not needed: the first
// forms of functions that have a second one, and what only others need.
struct CustomOp {
    uint32_t version;
    void *(*create_kernel)(const CustomOp *, const void *const *api, const KernelInfo *);
    const char *(*get_name)(const CustomOp *);
    const char *(*get_execution_provider)(const CustomOp *);
    int32_t (*get_input_type)(const CustomOp *, size_t index);
    size_t (*get_input_count)(const CustomOp *);
    int32_t (*get_output_type)(const CustomOp *, size_t index);
    size_t (*get_output_count)(const CustomOp *);
    void (*compute)(void *kernel, KernelContext *);
    void (*destroy_kernel)(void *kernel);
    int32_t (*get_input_characteristic)(const CustomOp *, size_t index);
    int32_t (*get_output_characteristic)(const CustomOp *, size_t index);
    int32_t (*get_input_memory)(const CustomOp *, size_t index);
    int (*get_variadic_input_minimum)(const CustomOp *);
    int (*variadic_inputs_are_alike)(const CustomOp *);
    int (*get_variadic_output_minimum)(const CustomOp *);
    int (*variadic_outputs_are_alike)(const CustomOp *);
    Status *(*create_kernel_v2)(const CustomOp *, const void *const *api, const KernelInfo *, void **kernel);
    Status *(*compute_v2)(void *kernel, KernelContext *);
    // Looked at by newer libraries than those of `version` 16 alone.
    Status *(*infer_output_shapes)(const CustomOp *, ShapeInferContext *);
    int (*get_start_version)(const CustomOp *);
    int (*get_end_version)(const CustomOp *);
    size_t (*get_may_inplace)(int **inputs, int **outputs);
    void (*release_may_inplace)(int *inputs, int *outputs);
    size_t (*get_aliases)(int **inputs, int **outputs);
    void (*release_aliases)(int *inputs, int *outputs);
};

}  // namespace edgecodec::ort
