// Reading an entropy model, and proving that no picture can make it leave its buffers or its number ranges.
#include <algorithm>
#include <cstring>

#include "crc32.h"
#include "entropy_model.h"

namespace edgecodec {

namespace {

constexpr uint8_t kMagic[4] = {'E', 'C', 'E', 'M'};
constexpr uint32_t kLayoutVersion = 0;
constexpr uint32_t kMaxAlignment = 4096;
constexpr uint32_t kByChannel = 65535;

}  // namespace

EntropyModel EntropyModel::parse(const uint8_t *data, size_t size) {
    ByteReader reader(data, size, EC_BAD_MODEL);
    if (std::memcmp(reader.bytes(4), kMagic, 4) != 0) reader.fail("is not an entropy model");
    if (reader.u16() != kLayoutVersion) throw Failure(EC_VERSION, "has a layout this version cannot read", 4);
    if (reader.u16() != 0) reader.fail("has a reserved field in use");

    EntropyModel model;
    model.id_ = crc32(data, size);
    model.alignment_ = reader.u32();
    if (model.alignment_ == 0 || model.alignment_ > kMaxAlignment) reader.fail("has an alignment out of range");
    const size_t tensors = reader.u16(), table_sets = reader.u16(), nets = reader.u16(), steps = reader.u16();
    for (size_t i = 0; i < tensors; ++i) {
        ModelTensor tensor;
        const uint8_t type = reader.u8();
        if (type > 1) reader.fail("has a tensor of an unknown type");
        tensor.holds_indices = type == 1;
        tensor.channels = reader.u16();
        tensor.stride = reader.u16();
        if (tensor.channels == 0 || tensor.stride == 0 || model.alignment_ % tensor.stride != 0) {
            reader.fail("has a tensor without channels or with a stride that does not divide the alignment");
        }
        const size_t length = reader.u8();
        const uint8_t *name = reader.bytes(length);
        const auto printable = [](uint8_t byte) { return byte >= ' ' && byte <= '~'; };
        if (!std::all_of(name, name + length, printable)) reader.fail("has a name that is not printable ASCII");
        tensor.name.assign(name, name + length);
        model.tensors_.push_back(std::move(tensor));
    }
    for (size_t i = 0; i < table_sets; ++i) model.table_sets_.push_back(CodingTables::parse(reader));
    for (size_t i = 0; i < nets; ++i) model.nets_.push_back(IntegerNet::parse(reader));
    model.known_.resize(tensors);
    for (size_t i = 0; i < steps; ++i) model.parse_step(reader);
    if (reader.remaining() > 0) reader.fail("goes on after its last step");
    if (model.coded_.empty()) reader.fail("codes no tensor");
    return model;
}

void EntropyModel::parse_step(ByteReader &reader) {
    switch (reader.u8()) {
        case 0: return parse_code(reader);
        case 1: return parse_affine(reader);
        case 2: return parse_net(reader);
        case 3: return parse_concat(reader);
        case 4: return parse_add(reader);
        default: reader.fail("has a step of an unknown kind");
    }
}

void EntropyModel::parse_code(ByteReader &reader) {
    const size_t tensor = new_tensor(reader, false);
    const size_t tables = reader.u16();
    if (tables >= table_sets_.size()) reader.fail("codes with a table set that is not there");
    const size_t indices = reader.u16();
    if (indices == kByChannel) {
        if (table_sets_[tables].size() != tensors_[tensor].channels) reader.fail("has not one table for each channel");
        steps_.emplace_back(CodeStep{tensor, tables, true, 0});
    } else {
        if (indices >= tensors_.size() || !known_[indices].defined) {
            reader.fail("codes with indices that are not there");
        }
        if (!tensors_[indices].holds_indices || !same_shape(indices, tensor)) {
            reader.fail("codes a tensor with indices of another shape");
        }
        if (static_cast<size_t>(known_[indices].bounds.high) >= table_sets_[tables].size()) {
            reader.fail("has indices that name no table");
        }
        known_[indices].last_reader = steps_.size();
        steps_.emplace_back(CodeStep{tensor, tables, false, indices});
    }
    known_[tensor] = {true, {INT16_MIN, INT16_MAX}, 0};
    coded_.push_back(tensor);
}

void EntropyModel::parse_affine(ByteReader &reader) {
    AffineStep step;
    step.destination = new_tensor(reader, false);
    step.source = source_values(reader);
    if (!same_shape(step.source, step.destination)) reader.fail("scales a tensor to one of another shape");
    step.shift = reader.u8();
    if (step.shift > 14) reader.fail("has a shift out of range");
    step.offset = reader.i32s(tensors_[step.source].channels);
    step.low = reader.i16();
    step.high = reader.i16();
    if (step.low > step.high) reader.fail("has bounds in the wrong order");
    known_[step.destination] = {true, {step.low, step.high}, 0};
    steps_.emplace_back(std::move(step));
}

void EntropyModel::parse_net(ByteReader &reader) {
    NetStep step;
    step.destination = reader.u16();
    step.source = source_values(reader);
    step.net = reader.u16();
    if (step.net >= nets_.size()) reader.fail("runs a net that is not there");
    const IntegerNet &net = nets_[step.net];
    require_new(reader, step.destination, net.gives_indices());
    const ModelTensor &source = tensors_[step.source], &destination = tensors_[step.destination];
    const Interval input = known_[step.source].bounds;
    if (input.low < net.input_low() || input.high > net.input_high()) {
        reader.fail("runs a net on a tensor that is not held to the net's bounds");
    }
    if (static_cast<uint32_t>(net.input_channels()) != source.channels ||
        static_cast<uint32_t>(net.output_channels()) != destination.channels) {
        reader.fail("runs a net between tensors it does not fit");
    }
    // In units of the picture's alignment.
    const Side side{alignment_ / source.stride, 0};
    const std::optional<Sides> output = net.output_sides({side, side});
    const Side expected{alignment_ / destination.stride, 0};
    if (!output || output->rows != expected || output->columns != expected) {
        reader.fail("runs a net whose output has another extent");
    }
    known_[step.destination] = {
        true, net.gives_indices() ? Interval{0, static_cast<int16_t>(net.thresholds())} : net.output(), 0};
    steps_.emplace_back(step);
}

void EntropyModel::parse_concat(ByteReader &reader) {
    ConcatStep step;
    step.destination = new_tensor(reader, false);
    const size_t count = reader.u16();
    if (count == 0) reader.fail("joins no tensors");
    size_t channels = 0;
    Interval bounds{INT16_MAX, INT16_MIN};
    for (size_t i = 0; i < count; ++i) {
        const size_t source = source_values(reader);
        if (tensors_[source].stride != tensors_[step.destination].stride) {
            reader.fail("joins tensors of different extents");
        }
        channels += tensors_[source].channels;
        bounds.low = std::min(bounds.low, known_[source].bounds.low);
        bounds.high = std::max(bounds.high, known_[source].bounds.high);
        step.sources.push_back(source);
    }
    if (channels != tensors_[step.destination].channels) {
        reader.fail("joins tensors to one with another number of channels");
    }
    known_[step.destination] = {true, bounds, 0};
    steps_.emplace_back(std::move(step));
}

void EntropyModel::parse_add(ByteReader &reader) {
    AddStep step;
    step.destination = new_tensor(reader, false);
    step.first = source_values(reader);
    step.second = source_values(reader);
    if (!same_shape(step.first, step.destination) || !same_shape(step.second, step.destination)) {
        reader.fail("adds tensors of different shapes");
    }
    step.first_multiplier = reader.i32();
    step.second_multiplier = reader.i32();
    step.shift = reader.u8();
    // Up to 62 both products, of 15 and 31 bits, and the half added to them stay below 2^63.
    if (step.shift < 1 || step.shift > 62) reader.fail("has a shift out of range");
    step.low = reader.i16();
    step.high = reader.i16();
    if (step.low > step.high) reader.fail("has bounds in the wrong order");
    known_[step.destination] = {true, {step.low, step.high}, 0};
    steps_.emplace_back(step);
}

size_t EntropyModel::source_values(ByteReader &reader) {
    const size_t tensor = reader.u16();
    if (tensor >= tensors_.size() || !known_[tensor].defined || tensors_[tensor].holds_indices) {
        reader.fail("has a step that reads values which are not there");
    }
    known_[tensor].last_reader = steps_.size();
    return tensor;
}

size_t EntropyModel::new_tensor(ByteReader &reader, bool holds_indices) {
    const size_t tensor = reader.u16();
    require_new(reader, tensor, holds_indices);
    return tensor;
}

void EntropyModel::require_new(const ByteReader &reader, size_t tensor, bool holds_indices) const {
    if (tensor >= tensors_.size() || known_[tensor].defined || tensors_[tensor].holds_indices != holds_indices) {
        reader.fail("has a step whose result is not a tensor yet to be defined");
    }
}

bool EntropyModel::same_shape(size_t one, size_t other) const {
    return tensors_[one].channels == tensors_[other].channels && tensors_[one].stride == tensors_[other].stride;
}

}  // namespace edgecodec
