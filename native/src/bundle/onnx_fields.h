// The messages of ONNX and their fields (onnx.proto of ONNX 1.23, IR version 13 and earlier), without those for several
// devices, opaque types and segments of tensors, which no graph of a bundle has.
#pragma once

#include <cstdint>

namespace edgecodec::onnx {

enum class Message : uint8_t {
    model,
    graph,
    node,
    attribute,
    tensor,
    sparse_tensor,
    entry,  // StringStringEntryProto
    function,
    training_info,
    operator_set,
    tensor_annotation,
    value_info,
    type,
    tensor_type,
    sparse_tensor_type,
    sequence_type,
    map_type,
    optional_type,
    shape,
    dimension,
};

enum class Kind : uint8_t { int32, int64, uint64, float32, float64, bytes, message };

struct Field {
    uint32_t number;
    const char *name;
    Kind kind;
    bool repeated;
    Message message;  // of a field that is one
};

// Numbers of the fields that are looked at.
constexpr uint32_t kGraphInitializer = 5;
constexpr uint32_t kNodeOutput = 2, kNodeOperator = 4;
constexpr uint32_t kAttributeType = 20;
constexpr uint32_t kTensorDimensions = 1, kTensorType = 2, kTensorName = 8, kTensorExternalData = 13;
constexpr uint32_t kTensorDataLocation = 14;
constexpr uint32_t kSparseValues = 1;
constexpr uint32_t kEntryKey = 1;

// Whether this field of a tensor holds values of it.
constexpr bool holds_values(uint32_t number) {
    return (number >= 4 && number <= 7) ||
           (number >= 9 && number <= 11);  // float_data to int64_data, raw_data to uint64_data
}

// The most fields that a message has.
constexpr int kMostFields = 18;

// nullptr where the message has no such field. *index: which of the message's fields it is, below kMostFields.
const Field *find_field(Message message, uint32_t number, int *index);

}  // namespace edgecodec::onnx
