#include "entropy_model.h"

#include <algorithm>
#include <cstring>

#include "crc32.h"
#include "latent_digest.h"
#include "range_coder.h"

namespace edgecodec {

namespace {

constexpr uint8_t kMagic[4] = {'E', 'C', 'E', 'M'};
constexpr uint32_t kLayoutVersion = 0;
constexpr uint32_t kMaxAlignment = 4096;
constexpr uint32_t kByChannel = 65535;
constexpr size_t kChannelBlock = 32;  // channels that are coded side by side where every channel has its own table

// Visits (index in coding order, index in channel-row-column order, channel) of a tensor coded by channel.
template <class Visit>
void in_channel_blocks(size_t channels, size_t positions, Visit &&visit) {
    size_t coded = 0;
    for (size_t first = 0; first < channels; first += kChannelBlock) {
        const size_t beyond = std::min(first + kChannelBlock, channels);
        for (size_t position = 0; position < positions; ++position) {
            for (size_t channel = first; channel < beyond; ++channel, ++coded) {
                visit(coded, channel * positions + position, channel);
            }
        }
    }
}

std::vector<uint16_t> tables_by_channel(size_t channels, size_t positions) {
    std::vector<uint16_t> table_of_symbol(channels * positions);
    in_channel_blocks(channels, positions, [&](size_t coded, size_t, size_t channel) {
        table_of_symbol[coded] = static_cast<uint16_t>(channel);
    });
    return table_of_symbol;
}

}  // namespace

// ---- parsing -----------------------------------------------------------------------------------------------------

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
        default: reader.fail("has a step of an unknown kind");
    }
}

void EntropyModel::parse_code(ByteReader &reader) {
    const size_t tensor = new_tensor(reader, false);
    const size_t tables = reader.u16();
    if (tables >= table_sets_.size()) reader.fail("codes with a table set that is not there");
    const size_t indices = reader.u16();
    const ModelTensor &coded = tensors_[tensor];
    if (indices == kByChannel) {
        if (table_sets_[tables].size() != coded.channels) reader.fail("has not one table for each channel");
        steps_.emplace_back(CodeStep{tensor, tables, true, 0});
    } else {
        const ModelTensor &index = tensors_[defined_tensor(reader, indices, "codes with indices that are not there")];
        if (!index.holds_indices || index.channels != coded.channels || index.stride != coded.stride) {
            reader.fail("codes a tensor with indices of another shape");
        }
        if (static_cast<size_t>(known_[indices].high) >= table_sets_[tables].size()) {
            reader.fail("has indices that name no table");
        }
        steps_.emplace_back(CodeStep{tensor, tables, false, indices});
    }
    known_[tensor] = {true, false, INT16_MIN, INT16_MAX};
    coded_.push_back(tensor);
}

void EntropyModel::parse_affine(ByteReader &reader) {
    AffineStep step;
    step.destination = new_tensor(reader, false);
    step.source = defined_tensor(reader, reader.u16(), "scales a tensor that is not there");
    const ModelTensor &source = tensors_[step.source], &destination = tensors_[step.destination];
    if (source.holds_indices || known_[step.source].affine || source.channels != destination.channels ||
        source.stride != destination.stride) {
        reader.fail("scales a tensor that is not a coded one of the same shape");
    }
    step.shift = reader.u8();
    if (step.shift > 14) reader.fail("has a shift out of range");
    step.offset = reader.i32s(source.channels);
    step.low = reader.i16();
    step.high = reader.i16();
    if (step.low > step.high) reader.fail("has bounds in the wrong order");
    known_[step.destination] = {true, true, step.low, step.high};
    steps_.emplace_back(std::move(step));
}

void EntropyModel::parse_net(ByteReader &reader) {
    NetStep step;
    step.destination = new_tensor(reader, true);
    step.source = defined_tensor(reader, reader.u16(), "runs a net on a tensor that is not there");
    step.net = reader.u16();
    if (step.net >= nets_.size()) reader.fail("runs a net that is not there");
    const IntegerNet &net = nets_[step.net];
    const ModelTensor &source = tensors_[step.source], &destination = tensors_[step.destination];
    const Knowledge &input = known_[step.source];
    if (!input.affine || input.low < net.input_low() || input.high > net.input_high()) {
        reader.fail("runs a net on a tensor that is not held to the net's bounds");
    }
    if (!net.gives_indices() || static_cast<uint32_t>(net.input_channels()) != source.channels ||
        static_cast<uint32_t>(net.output_channels()) != destination.channels) {
        reader.fail("runs a net between tensors it does not fit");
    }
    // The extents are proportional to the picture, so one and two units of the alignment show whether they agree.
    for (size_t units = 1; units <= 2; ++units) {
        const size_t in = units * alignment_ / source.stride, out = units * alignment_ / destination.stride;
        const IntegerNet::Shape shape = net.output_shape({in, in});
        if (shape.rows != out || shape.columns != out) reader.fail("runs a net whose output has another extent");
    }
    known_[step.destination] = {true, false, 0, static_cast<int16_t>(net.thresholds())};
    steps_.emplace_back(step);
}

size_t EntropyModel::defined_tensor(ByteReader &reader, size_t tensor, const char *problem) const {
    if (tensor >= tensors_.size() || !known_[tensor].defined) reader.fail(problem);
    return tensor;
}

size_t EntropyModel::new_tensor(ByteReader &reader, bool holds_indices) {
    const size_t tensor = reader.u16();
    if (tensor >= tensors_.size() || known_[tensor].defined || tensors_[tensor].holds_indices != holds_indices) {
        reader.fail("has a step whose result is not a tensor yet to be defined");
    }
    return tensor;
}

// ---- running -----------------------------------------------------------------------------------------------------

EntropyModel::Extent EntropyModel::extent(size_t tensor, uint32_t width, uint32_t height) const {
    const ModelTensor &which = tensors_[tensor];
    const size_t per_unit = alignment_ / which.stride;
    const size_t rows = (static_cast<size_t>(height) + alignment_ - 1) / alignment_ * per_unit;
    const size_t columns = (static_cast<size_t>(width) + alignment_ - 1) / alignment_ * per_unit;
    return {rows, columns, which.channels * rows * columns};
}

struct EntropyModel::Workspace {
    uint32_t width, height;
    unsigned threads;
    std::vector<const int16_t *> coded;          // by tensor, once its step is done
    std::vector<std::vector<int16_t>> scaled;    // by tensor, channels innermost: only nets read these
    std::vector<std::vector<uint8_t>> indices;   // by tensor
};

template <class Code>
void EntropyModel::walk(uint32_t width, uint32_t height, unsigned threads, const int16_t *const *latents,
                        Code &&code) const {
    Workspace workspace{width, height, threads, {}, {}, {}};
    workspace.coded.resize(tensors_.size());
    workspace.scaled.resize(tensors_.size());
    workspace.indices.resize(tensors_.size());
    size_t coded = 0;
    for (const auto &step : steps_) {
        if (const CodeStep *code_step = std::get_if<CodeStep>(&step)) {
            const uint8_t *indices = code_step->by_channel ? nullptr : workspace.indices[code_step->indices].data();
            if (!code(*code_step, coded, extent(code_step->tensor, width, height), indices)) return;
            workspace.coded[code_step->tensor] = latents[coded++];
        } else if (const AffineStep *affine_step = std::get_if<AffineStep>(&step)) {
            apply(*affine_step, workspace);
        } else {
            apply(std::get<NetStep>(step), workspace);
        }
    }
}

void EntropyModel::apply(const AffineStep &step, Workspace &workspace) const {
    const Extent extent = this->extent(step.source, workspace.width, workspace.height);
    const size_t channels = tensors_[step.source].channels, positions = extent.rows * extent.columns;
    const int16_t *source = workspace.coded[step.source];
    std::vector<int16_t> &destination = workspace.scaled[step.destination];
    destination.resize(extent.values);
    for (size_t channel = 0; channel < channels; ++channel) {
        for (size_t position = 0; position < positions; ++position) {
            const int64_t scaled = static_cast<int64_t>(*source++) * (int64_t{1} << step.shift) + step.offset[channel];
            destination[position * channels + channel] =
                static_cast<int16_t>(std::clamp<int64_t>(scaled, step.low, step.high));
        }
    }
}

void EntropyModel::apply(const NetStep &step, Workspace &workspace) const {
    const Extent source = extent(step.source, workspace.width, workspace.height);
    const Extent destination = extent(step.destination, workspace.width, workspace.height);
    std::vector<uint8_t> &indices = workspace.indices[step.destination];
    indices.resize(destination.values);
    nets_[step.net].run(workspace.scaled[step.source].data(), {source.rows, source.columns}, indices.data(), nullptr,
                        workspace.threads);
}

void EntropyModel::decode(uint32_t width, uint32_t height, uint32_t lanes, const uint8_t *payload, size_t size,
                          int16_t *const *latents, unsigned threads) const {
    RangeDecoder decoder(payload, size, lanes);
    LatentDigest digest;
    walk(width, height, threads, latents, [&](const CodeStep &step, size_t i, Extent extent, const uint8_t *indices) {
        const CodingTables &tables = table_sets_[step.tables];
        const bool last = i + 1 == coded_.size();
        if (step.by_channel) {
            const size_t channels = tensors_[step.tensor].channels, positions = extent.rows * extent.columns;
            const std::vector<uint16_t> table_of_symbol = tables_by_channel(channels, positions);
            std::vector<int16_t> symbols(extent.values);
            decoder.decode(tables, table_of_symbol.data(), symbols.data(), extent.values, last);
            in_channel_blocks(channels, positions,
                              [&](size_t coded, size_t place, size_t) { latents[i][place] = symbols[coded]; });
        } else {
            decoder.decode(tables, indices, latents[i], extent.values, last);
        }
        digest.add(latents[i], extent.values);
        return true;
    });
    if (decoder.finish() != digest.value()) {
        throw Failure(EC_LATENTS_DIFFER, "the decoded latents are not those that were encoded");
    }
}

std::vector<uint8_t> EntropyModel::encode(uint32_t width, uint32_t height, uint32_t &lanes,
                                          const int16_t *const *latents, unsigned threads) const {
    RangeEncoder encoder;
    LatentDigest digest;
    walk(width, height, threads, latents, [&](const CodeStep &step, size_t i, Extent extent, const uint8_t *indices) {
        const CodingTables &tables = table_sets_[step.tables];
        if (step.by_channel) {
            const size_t channels = tensors_[step.tensor].channels, positions = extent.rows * extent.columns;
            const std::vector<uint16_t> table_of_symbol = tables_by_channel(channels, positions);
            std::vector<int16_t> symbols(extent.values);
            in_channel_blocks(channels, positions,
                              [&](size_t coded, size_t place, size_t) { symbols[coded] = latents[i][place]; });
            encoder.add(tables, table_of_symbol.data(), symbols.data(), extent.values);
        } else {
            encoder.add(tables, indices, latents[i], extent.values);
        }
        digest.add(latents[i], extent.values);
        return true;
    });
    return encoder.finish(lanes, digest.value());
}

void EntropyModel::indices(uint32_t width, uint32_t height, const int16_t *const *latents, size_t i, uint8_t *out,
                           unsigned threads) const {
    if (i >= coded_.size()) throw Failure(EC_INVALID_ARGUMENT, "the model has no such coded tensor");
    walk(width, height, threads, latents, [&](const CodeStep &step, size_t at, Extent extent, const uint8_t *indices) {
        if (at < i) return true;
        if (step.by_channel) {
            throw Failure(EC_INVALID_ARGUMENT, "this tensor is coded with one table a channel, not with indices");
        }
        std::copy(indices, indices + extent.values, out);
        return false;
    });
}

}  // namespace edgecodec
