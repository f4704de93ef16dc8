// Compares native/src/onnxruntime/abi.h with ONNX Runtime's own header: the position and the
// signature of every function, the constants, and the layout of an operator. It is compiled, and never run.
#include <onnxruntime_c_api.h>

#include <cstddef>
#include <type_traits>

#include "onnxruntime/abi.h"

namespace ort = edgecodec::ort;

// Whether values of both types are passed alike: pointers to whatever, and numbers of one size.
template <class Ours, class Theirs>
constexpr bool alike() {
    if constexpr (std::is_void_v<Ours> || std::is_void_v<Theirs>) {
        return std::is_void_v<Ours> && std::is_void_v<Theirs>;
    } else {
        return std::is_pointer_v<Ours> == std::is_pointer_v<Theirs> && sizeof(Ours) == sizeof(Theirs);
    }
}

template <class Ours, class Theirs>
struct Same : std::false_type {};
template <class R, class... A, class S, class... B>
struct Same<R(A...), S (*)(B...)> {
    static constexpr bool value = [] {
        if constexpr (sizeof...(A) == sizeof...(B)) {
            return alike<R, S>() && (alike<A, B>() && ...);
        } else {
            return false;
        }
    }();
};
template <class R, class... A, class S, class... B>
struct Same<R(A...), S (*)(B...) noexcept> : Same<R(A...), S (*)(B...)> {};

#define SLOT(name)                                                                                                \
    static_assert(offsetof(OrtApi, name) == decltype(ort::name)::number * sizeof(void *), #name " is elsewhere"); \
    static_assert(Same<decltype(ort::name)::Function, decltype(OrtApi::name)>::value, #name " is of another type")
SLOT(CreateStatus);
SLOT(GetErrorCode);
SLOT(GetErrorMessage);
SLOT(CreateEnv);
SLOT(CreateSessionFromArray);
SLOT(Run);
SLOT(CreateSessionOptions);
SLOT(EnableMemPattern);
SLOT(DisableMemPattern);
SLOT(EnableCpuMemArena);
SLOT(DisableCpuMemArena);
SLOT(SetSessionLogSeverityLevel);
SLOT(SetSessionGraphOptimizationLevel);
SLOT(SetIntraOpNumThreads);
SLOT(CreateCustomOpDomain);
SLOT(CustomOpDomain_Add);
SLOT(AddCustomOpDomain);
SLOT(SessionGetInputCount);
SLOT(SessionGetOutputCount);
SLOT(SessionGetInputTypeInfo);
SLOT(SessionGetOutputTypeInfo);
SLOT(SessionGetInputName);
SLOT(SessionGetOutputName);
SLOT(CreateRunOptions);
SLOT(RunOptionsSetRunLogSeverityLevel);
SLOT(RunOptionsSetTerminate);
SLOT(CreateTensorWithDataAsOrtValue);
SLOT(GetTensorMutableData);
SLOT(CastTypeInfoToTensorInfo);
SLOT(GetOnnxTypeFromTypeInfo);
SLOT(GetTensorElementType);
SLOT(GetDimensionsCount);
SLOT(GetDimensions);
SLOT(GetTensorShapeElementCount);
SLOT(GetTensorTypeAndShape);
SLOT(CreateCpuMemoryInfo);
SLOT(AllocatorFree);
SLOT(GetAllocatorWithDefaultOptions);
SLOT(KernelInfoGetAttribute_int64);
SLOT(KernelContext_GetOutputCount);
SLOT(KernelContext_GetInput);
SLOT(KernelContext_GetOutput);
SLOT(ReleaseEnv);
SLOT(ReleaseStatus);
SLOT(ReleaseMemoryInfo);
SLOT(ReleaseSession);
SLOT(ReleaseValue);
SLOT(ReleaseRunOptions);
SLOT(ReleaseTypeInfo);
SLOT(ReleaseTensorTypeAndShapeInfo);
SLOT(ReleaseSessionOptions);
SLOT(GetAvailableProviders);
SLOT(ReleaseAvailableProviders);
SLOT(AddSessionConfigEntry);
SLOT(SessionOptionsAppendExecutionProvider_TensorRT_V2);
SLOT(CreateTensorRTProviderOptions);
SLOT(UpdateTensorRTProviderOptions);
SLOT(ReleaseTensorRTProviderOptions);
SLOT(SessionOptionsAppendExecutionProvider_CUDA_V2);
SLOT(CreateCUDAProviderOptions);
SLOT(UpdateCUDAProviderOptions);
SLOT(ReleaseCUDAProviderOptions);
SLOT(AddExternalInitializers);
SLOT(SessionOptionsAppendExecutionProvider);
SLOT(KernelInfoGetAttribute_tensor);
#if ORT_API_VERSION >= 22
SLOT(SessionOptionsSetLoadCancellationFlag);
SLOT(RegisterExecutionProviderLibrary);
SLOT(GetEpDevices);
SLOT(SessionOptionsAppendExecutionProvider_V2);
SLOT(HardwareDevice_Type);
SLOT(HardwareDevice_Vendor);
SLOT(EpDevice_EpName);
SLOT(EpDevice_Device);
#endif
#undef SLOT

static_assert(offsetof(OrtApiBase, GetApi) == offsetof(ort::ApiBase, get_api));
static_assert(offsetof(OrtApiBase, GetVersionString) == offsetof(ort::ApiBase, get_version));

static_assert(ort::kFatal == ORT_LOGGING_LEVEL_FATAL);
static_assert(ort::kFail == ORT_FAIL && ort::kInvalidArgument == ORT_INVALID_ARGUMENT);
static_assert(ort::kTensor == ONNX_TYPE_TENSOR && ort::kSequence == ONNX_TYPE_SEQUENCE && ort::kMap == ONNX_TYPE_MAP);
static_assert(ort::kSparseTensor == ONNX_TYPE_SPARSETENSOR && ort::kOptional == ONNX_TYPE_OPTIONAL);
static_assert(ort::kFloat == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT && ort::kUint8 == ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8);
static_assert(ort::kInt16 == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16 && ort::kInt64 == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64);
static_assert(ort::kBool == ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL);
static_assert(ort::kDeviceAllocator == OrtDeviceAllocator && ort::kDefaultMemory == OrtMemTypeDefault);
static_assert(ort::kRequired == INPUT_OUTPUT_REQUIRED && ort::kVariadic == INPUT_OUTPUT_VARIADIC);

#define FIELD(ours, theirs) static_assert(offsetof(ort::CustomOp, ours) == offsetof(OrtCustomOp, theirs))
FIELD(version, version);
FIELD(create_kernel, CreateKernel);
FIELD(get_name, GetName);
FIELD(get_execution_provider, GetExecutionProviderType);
FIELD(get_input_type, GetInputType);
FIELD(get_input_count, GetInputTypeCount);
FIELD(get_output_type, GetOutputType);
FIELD(get_output_count, GetOutputTypeCount);
FIELD(compute, KernelCompute);
FIELD(destroy_kernel, KernelDestroy);
FIELD(get_input_characteristic, GetInputCharacteristic);
FIELD(get_output_characteristic, GetOutputCharacteristic);
FIELD(get_input_memory, GetInputMemoryType);
FIELD(get_variadic_input_minimum, GetVariadicInputMinArity);
FIELD(variadic_inputs_are_alike, GetVariadicInputHomogeneity);
FIELD(get_variadic_output_minimum, GetVariadicOutputMinArity);
FIELD(variadic_outputs_are_alike, GetVariadicOutputHomogeneity);
FIELD(create_kernel_v2, CreateKernelV2);
FIELD(compute_v2, KernelComputeV2);
FIELD(infer_output_shapes, InferOutputShapeFn);
FIELD(get_start_version, GetStartVersion);
FIELD(get_end_version, GetEndVersion);
FIELD(get_may_inplace, GetMayInplace);
FIELD(release_may_inplace, ReleaseMayInplace);
FIELD(get_aliases, GetAliasMap);
FIELD(release_aliases, ReleaseAliasMap);
