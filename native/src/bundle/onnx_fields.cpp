#include "bundle/onnx_fields.h"

#include <cstddef>

namespace edgecodec::onnx {

namespace {

struct Fields {
    const Field *first;
    size_t count;
};

template <size_t count>
constexpr Fields all(const Field (&fields)[count]) {
    static_assert(count <= kMostFields);
    return {fields, count};
}

constexpr Field one(uint32_t number, const char *name, Kind kind) { return {number, name, kind, false, {}}; }
constexpr Field many(uint32_t number, const char *name, Kind kind) { return {number, name, kind, true, {}}; }
constexpr Field one(uint32_t number, const char *name, Message message) {
    return {number, name, Kind::message, false, message};
}
constexpr Field many(uint32_t number, const char *name, Message message) {
    return {number, name, Kind::message, true, message};
}

constexpr Field kModel[] = {
    one(1, "ir_version", Kind::int64),
    one(2, "producer_name", Kind::bytes),
    one(3, "producer_version", Kind::bytes),
    one(4, "domain", Kind::bytes),
    one(5, "model_version", Kind::int64),
    one(6, "doc_string", Kind::bytes),
    one(7, "graph", Message::graph),
    many(8, "opset_import", Message::operator_set),
    many(14, "metadata_props", Message::entry),
    many(20, "training_info", Message::training_info),
    many(25, "functions", Message::function),
};
constexpr Field kGraph[] = {
    many(1, "node", Message::node),
    one(2, "name", Kind::bytes),
    many(5, "initializer", Message::tensor),
    one(10, "doc_string", Kind::bytes),
    many(11, "input", Message::value_info),
    many(12, "output", Message::value_info),
    many(13, "value_info", Message::value_info),
    many(14, "quantization_annotation", Message::tensor_annotation),
    many(15, "sparse_initializer", Message::sparse_tensor),
    many(16, "metadata_props", Message::entry),
};
constexpr Field kNode[] = {
    many(1, "input", Kind::bytes),  many(2, "output", Kind::bytes),           one(3, "name", Kind::bytes),
    one(4, "op_type", Kind::bytes), many(5, "attribute", Message::attribute), one(6, "doc_string", Kind::bytes),
    one(7, "domain", Kind::bytes),  one(8, "overload", Kind::bytes),          many(9, "metadata_props", Message::entry),
};
constexpr Field kAttribute[] = {
    one(1, "name", Kind::bytes),
    one(2, "f", Kind::float32),
    one(3, "i", Kind::int64),
    one(4, "s", Kind::bytes),
    one(5, "t", Message::tensor),
    one(6, "g", Message::graph),
    many(7, "floats", Kind::float32),
    many(8, "ints", Kind::int64),
    many(9, "strings", Kind::bytes),
    many(10, "tensors", Message::tensor),
    many(11, "graphs", Message::graph),
    one(13, "doc_string", Kind::bytes),
    one(14, "tp", Message::type),
    many(15, "type_protos", Message::type),
    one(20, "type", Kind::int32),
    one(21, "ref_attr_name", Kind::bytes),
    one(22, "sparse_tensor", Message::sparse_tensor),
    many(23, "sparse_tensors", Message::sparse_tensor),
};
constexpr Field kTensor[] = {
    many(1, "dims", Kind::int64),
    one(2, "data_type", Kind::int32),
    many(4, "float_data", Kind::float32),
    many(5, "int32_data", Kind::int32),
    many(6, "string_data", Kind::bytes),
    many(7, "int64_data", Kind::int64),
    one(8, "name", Kind::bytes),
    one(9, "raw_data", Kind::bytes),
    many(10, "double_data", Kind::float64),
    many(11, "uint64_data", Kind::uint64),
    one(12, "doc_string", Kind::bytes),
    many(13, "external_data", Message::entry),
    one(14, "data_location", Kind::int32),
    many(16, "metadata_props", Message::entry),
};
constexpr Field kSparseTensor[] = {
    one(1, "values", Message::tensor),
    one(2, "indices", Message::tensor),
    many(3, "dims", Kind::int64),
};
constexpr Field kEntry[] = {
    one(1, "key", Kind::bytes),
    one(2, "value", Kind::bytes),
};
constexpr Field kFunction[] = {
    one(1, "name", Kind::bytes),
    many(4, "input", Kind::bytes),
    many(5, "output", Kind::bytes),
    many(6, "attribute", Kind::bytes),
    many(7, "node", Message::node),
    one(8, "doc_string", Kind::bytes),
    many(9, "opset_import", Message::operator_set),
    one(10, "domain", Kind::bytes),
    many(11, "attribute_proto", Message::attribute),
    many(12, "value_info", Message::value_info),
    one(13, "overload", Kind::bytes),
    many(14, "metadata_props", Message::entry),
};
constexpr Field kTrainingInfo[] = {
    one(1, "initialization", Message::graph),
    one(2, "algorithm", Message::graph),
    many(3, "initialization_binding", Message::entry),
    many(4, "update_binding", Message::entry),
};
constexpr Field kOperatorSet[] = {
    one(1, "domain", Kind::bytes),
    one(2, "version", Kind::int64),
};
constexpr Field kTensorAnnotation[] = {
    one(1, "tensor_name", Kind::bytes),
    many(2, "quant_parameter_tensor_names", Message::entry),
};
constexpr Field kValueInfo[] = {
    one(1, "name", Kind::bytes),
    one(2, "type", Message::type),
    one(3, "doc_string", Kind::bytes),
    many(4, "metadata_props", Message::entry),
};
constexpr Field kType[] = {
    one(1, "tensor_type", Message::tensor_type),
    one(4, "sequence_type", Message::sequence_type),
    one(5, "map_type", Message::map_type),
    one(6, "denotation", Kind::bytes),
    one(8, "sparse_tensor_type", Message::sparse_tensor_type),
    one(9, "optional_type", Message::optional_type),
};
constexpr Field kTensorType[] = {
    one(1, "elem_type", Kind::int32),
    one(2, "shape", Message::shape),
};
constexpr Field kElementType[] = {
    one(1, "elem_type", Message::type),
};
constexpr Field kMapType[] = {
    one(1, "key_type", Kind::int32),
    one(2, "value_type", Message::type),
};
constexpr Field kShape[] = {
    many(1, "dim", Message::dimension),
};
constexpr Field kDimension[] = {
    one(1, "dim_value", Kind::int64),
    one(2, "dim_param", Kind::bytes),
    one(3, "denotation", Kind::bytes),
};

Fields fields_of(Message message) {
    switch (message) {
        case Message::model: return all(kModel);
        case Message::graph: return all(kGraph);
        case Message::node: return all(kNode);
        case Message::attribute: return all(kAttribute);
        case Message::tensor: return all(kTensor);
        case Message::sparse_tensor: return all(kSparseTensor);
        case Message::entry: return all(kEntry);
        case Message::function: return all(kFunction);
        case Message::training_info: return all(kTrainingInfo);
        case Message::operator_set: return all(kOperatorSet);
        case Message::tensor_annotation: return all(kTensorAnnotation);
        case Message::value_info: return all(kValueInfo);
        case Message::type: return all(kType);
        case Message::tensor_type: return all(kTensorType);
        case Message::sparse_tensor_type: return all(kTensorType);
        case Message::sequence_type: return all(kElementType);
        case Message::map_type: return all(kMapType);
        case Message::optional_type: return all(kElementType);
        case Message::shape: return all(kShape);
        case Message::dimension: return all(kDimension);
    }
    return {nullptr, 0};
}

}  // namespace

const Field *find_field(Message message, uint32_t number, int *index) {
    const Fields fields = fields_of(message);
    for (size_t i = 0; i < fields.count; ++i) {
        if (fields.first[i].number == number) {
            *index = static_cast<int>(i);
            return &fields.first[i];
        }
    }
    return nullptr;
}

}  // namespace edgecodec::onnx
