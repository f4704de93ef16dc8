// The operator of fused graphs, as edgecodec.h describes it. It calls ONNX Runtime only through the table that it is
// handed, because a process may hold several copies of it.
//
// The outputs of a known number come first, because only the last ones of an operator may be of any number.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "edgecodec/edgecodec.h"
#include "onnxruntime/api.h"
#include "onnxruntime/fused_decoder.h"
#include "support/status.h"

namespace edgecodec::ort {
namespace {

constexpr char kDomain[] = "edgecodec", kOperator[] = "Decode";
// Newer libraries take operators of older versions of the interface, and older ones refuse newer ones.
constexpr unsigned kInterface = 16;
constexpr size_t kFixedOutputs = 2;

// Runs `body`; what it throws becomes a status of ONNX Runtime, with all that an ec_error says.
template <class Body>
Status *as_status(const void *const *table, Body &&body) noexcept {
    ec_error error = EC_INIT(ec_error);
    const ec_status status = guarded(&error, body);
    if (status == EC_OK) return nullptr;
    char text[sizeof error.message + sizeof error.where + sizeof error.hint + 64];
    char offset[32] = "";
    if (error.offset >= 0) {
        std::snprintf(offset, sizeof offset, " (at byte %lld)", static_cast<long long>(error.offset));
    }
    std::snprintf(text, sizeof text, "edgecodec: %s%s%s%s%s%s%s", error.where, *error.where ? ": " : "", error.message,
                  offset, *error.hint ? " (hint: " : "", error.hint, *error.hint ? ")" : "");
    return Api(table)[CreateStatus](status == EC_INVALID_ARGUMENT ? kInvalidArgument : kFail, text);
}

// A uint8 tensor's bytes.
std::pair<const uint8_t *, size_t> bytes_of(const Api &api, const Value *value, const char *name) {
    const Owned<ShapeAndType> description = api.make(GetTensorTypeAndShape, ReleaseTensorTypeAndShapeInfo, value);
    int32_t type = 0;
    size_t rank = 0, size = 0;
    api.call(GetTensorElementType, description.get(), &type);
    api.call(GetDimensionsCount, description.get(), &rank);
    api.call(GetTensorShapeElementCount, description.get(), &size);
    if (type != kUint8 || rank != 1) {
        throw Failure(EC_INVALID_ARGUMENT, "is not uint8 of one dimension").at(name);
    }
    void *data = nullptr;
    api.call(GetTensorMutableData, const_cast<Value *>(value), &data);
    return {static_cast<const uint8_t *>(data), size};
}

// An attribute that may be left out.
void read_attribute(const Api &api, const KernelInfo *info, const char *name, int64_t &value) {
    int64_t found = 0;
    Status *status = api[KernelInfoGetAttribute_int64](info, name, &found);
    if (status == nullptr) {
        value = found;
    } else {
        api[ReleaseStatus](status);
    }
}

struct Kernel {
    const void *const *table;
    FusedDecoder decoder;
};

std::unique_ptr<Kernel> make_kernel(const void *const *table, const KernelInfo *info) {
    const Api api(table);
    FusedSettings settings;
    read_attribute(api, info, "quality", settings.quality);
    read_attribute(api, info, "noise_channels", settings.noise_channels);
    read_attribute(api, info, "noise_stride", settings.noise_stride);
    read_attribute(api, info, "max_pixels", settings.max_pixels);
    Allocator *allocator = nullptr;
    api.call(GetAllocatorWithDefaultOptions, &allocator);
    const Owned<Value> model = api.make(KernelInfoGetAttribute_tensor, ReleaseValue, info, "model", allocator);
    const auto [data, size] = bytes_of(api, model.get(), "model");
    return located("model", [&, data = data, size = size] {
        return std::unique_ptr<Kernel>(new Kernel{table, FusedDecoder(data, size, settings)});
    });
}

void *output(const Api &api, KernelContext *context, size_t index, const int64_t *shape, size_t rank) {
    Value *value = nullptr;  // the context's
    api.call(KernelContext_GetOutput, context, index, shape, rank, &value);
    void *data = nullptr;
    api.call(GetTensorMutableData, value, &data);
    return data;
}

void compute(const Kernel &kernel, KernelContext *context) {
    const Api api(kernel.table);
    size_t count = 0;
    api.call(KernelContext_GetOutputCount, context, &count);
    if (count != kFixedOutputs + kernel.decoder.input_count()) {
        throw Failure(EC_INVALID_ARGUMENT, "the graph takes " + std::to_string(count) + " outputs of " + kOperator +
                                               ", its model has " +
                                               std::to_string(kFixedOutputs + kernel.decoder.input_count()));
    }
    const Value *file = nullptr;
    api.call(KernelContext_GetInput, context, size_t{0}, &file);
    const auto [data, bytes] = bytes_of(api, file, "file");
    const FusedPicture picture = kernel.decoder.decode(data, bytes);

    const int64_t two = 2;
    const auto size = static_cast<int64_t *>(output(api, context, 0, &two, 1));
    size[0] = picture.height;
    size[1] = picture.width;
    *static_cast<uint8_t *>(output(api, context, 1, &two, 0)) = picture.greyscale;
    for (size_t i = 0; i < picture.inputs.size(); ++i) {
        const FusedInput &input = picture.inputs[i];
        const int64_t shape[] = {1, static_cast<int64_t>(input.channels), static_cast<int64_t>(input.rows),
                                 static_cast<int64_t>(input.columns)};
        const auto values = static_cast<float *>(output(api, context, kFixedOutputs + i, shape, 4));
        std::copy(input.values.begin(), input.values.end(), values);
    }
}

CustomOp describe() {
    CustomOp op{};
    op.version = kInterface;
    op.get_name = [](const CustomOp *) { return kOperator; };
    op.get_execution_provider = [](const CustomOp *) -> const char * { return nullptr; };  // the processor
    op.get_input_count = [](const CustomOp *) { return size_t{1}; };
    op.get_input_type = [](const CustomOp *, size_t) { return kUint8; };
    op.get_input_characteristic = [](const CustomOp *, size_t) { return kRequired; };
    op.get_input_memory = [](const CustomOp *, size_t) { return kDefaultMemory; };
    op.get_output_count = [](const CustomOp *) { return kFixedOutputs + 1; };
    op.get_output_type = [](const CustomOp *, size_t index) {
        return index == 0 ? kInt64 : index == 1 ? kBool : kFloat;
    };
    op.get_output_characteristic = [](const CustomOp *, size_t index) {
        return index < kFixedOutputs ? kRequired : kVariadic;
    };
    op.get_variadic_input_minimum = [](const CustomOp *) { return 1; };
    op.variadic_inputs_are_alike = [](const CustomOp *) { return 1; };
    op.get_variadic_output_minimum = [](const CustomOp *) { return 1; };
    op.variadic_outputs_are_alike = [](const CustomOp *) { return 1; };
    op.create_kernel_v2 = [](const CustomOp *, const void *const *table, const KernelInfo *info, void **kernel) {
        return as_status(table, [&] { *kernel = make_kernel(table, info).release(); });
    };
    op.compute_v2 = [](void *kernel, KernelContext *context) {
        const Kernel &made = *static_cast<const Kernel *>(kernel);
        return as_status(made.table, [&] { compute(made, context); });
    };
    op.destroy_kernel = [](void *kernel) { delete static_cast<Kernel *>(kernel); };
    return op;
}

// The operator in a domain of each copy of ONNX Runtime in the process. It must outlive every session, and so it stays.
CustomOpDomain *domain_of(const void *const *table) {
    static const CustomOp op = describe();
    static std::mutex making;
    static std::vector<std::pair<const void *const *, CustomOpDomain *>> made;
    const std::lock_guard<std::mutex> lock(making);
    for (const auto &[of, domain] : made) {
        if (of == table) return domain;
    }
    const Api api(table);
    CustomOpDomain *domain = nullptr;
    api.call(CreateCustomOpDomain, kDomain, &domain);
    api.call(CustomOpDomain_Add, domain, &op);
    made.emplace_back(table, domain);
    return domain;
}

}  // namespace
}  // namespace edgecodec::ort

void *RegisterCustomOps(void *options, const void *api_base) {
    using namespace edgecodec;
    using namespace edgecodec::ort;
    const auto base = static_cast<const ApiBase *>(api_base);
    // A version that the library does not have must not be asked for: it would print.
    const bool has = minor_version(base->get_version()) >= kInterface;
    const void *const *table = base->get_api(has ? kInterface : 1);
    return as_status(table, [&] {
        if (!has) {
            throw Failure(EC_ENGINE_UNAVAILABLE, std::string("ONNX Runtime ") + base->get_version() + " is too old")
                .advising("install 1.17 or newer");
        }
        Api(table).call(AddCustomOpDomain, static_cast<SessionOptions *>(options), domain_of(table));
    });
}
