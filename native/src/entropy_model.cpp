#include "entropy_model.h"

#include <algorithm>
#include <cstring>

#include "latent_digest.h"
#include "range_coder.h"
#include "transpose.h"

namespace edgecodec {

namespace {

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
    // By tensor, while some step has yet to read it.
    std::vector<std::vector<int16_t>> values;   // (rows, columns, channels)
    std::vector<std::vector<uint8_t>> indices;  // (channels, rows, columns)
};

template <class Code>
void EntropyModel::walk(uint32_t width, uint32_t height, unsigned threads, const int16_t *const *latents,
                        Code &&code) const {
    Workspace workspace{width, height, threads, {}, {}};
    workspace.values.resize(tensors_.size());
    workspace.indices.resize(tensors_.size());
    size_t coded = 0;
    for (size_t i = 0; i < steps_.size(); ++i) {
        if (const CodeStep *step = std::get_if<CodeStep>(&steps_[i])) {
            const Extent extent = this->extent(step->tensor, width, height);
            const uint8_t *indices = step->by_channel ? nullptr : workspace.indices[step->indices].data();
            if (!code(*step, coded, extent, indices)) return;
            if (known_[step->tensor].last_reader > 0) {
                std::vector<int16_t> &values = workspace.values[step->tensor];
                values.resize(extent.values);
                transpose(latents[coded], tensors_[step->tensor].channels, extent.rows * extent.columns, values.data());
            }
            ++coded;
        } else {
            std::visit([&](const auto &operation) { apply(operation, workspace); }, std::get<Operation>(steps_[i]));
        }
        for (size_t tensor = 0; tensor < tensors_.size(); ++tensor) {
            if (known_[tensor].last_reader != i) continue;
            workspace.values[tensor] = std::vector<int16_t>();
            workspace.indices[tensor] = std::vector<uint8_t>();
        }
    }
}

void EntropyModel::apply(const AffineStep &step, Workspace &workspace) const {
    const size_t channels = tensors_[step.source].channels;
    const std::vector<int16_t> &source = workspace.values[step.source];
    std::vector<int16_t> &destination = workspace.values[step.destination];
    destination.resize(source.size());
    for (size_t first = 0; first < source.size(); first += channels) {
        for (size_t channel = 0; channel < channels; ++channel) {
            const int64_t value = source[first + channel];
            const int64_t scaled = value * (int64_t{1} << step.shift) + step.offset[channel];
            destination[first + channel] = static_cast<int16_t>(std::clamp<int64_t>(scaled, step.low, step.high));
        }
    }
}

void EntropyModel::apply(const NetStep &step, Workspace &workspace) const {
    const Extent source = extent(step.source, workspace.width, workspace.height);
    const size_t size = extent(step.destination, workspace.width, workspace.height).values;
    const IntegerNet &net = nets_[step.net];
    std::vector<int16_t> &values = workspace.values[step.destination];
    std::vector<uint8_t> &indices = workspace.indices[step.destination];
    if (net.gives_indices()) {
        indices.resize(size);
    } else {
        values.resize(size);
    }
    net.run(workspace.values[step.source].data(), {source.rows, source.columns}, indices.data(), values.data(),
            workspace.threads);
}

void EntropyModel::apply(const ConcatStep &step, Workspace &workspace) const {
    const Extent extent = this->extent(step.destination, workspace.width, workspace.height);
    const size_t all_channels = tensors_[step.destination].channels;
    std::vector<int16_t> &destination = workspace.values[step.destination];
    destination.resize(extent.values);
    size_t before = 0;
    for (const size_t tensor : step.sources) {
        const size_t channels = tensors_[tensor].channels;
        const int16_t *source = workspace.values[tensor].data();
        for (size_t first = before; first < destination.size(); first += all_channels, source += channels) {
            std::copy_n(source, channels, destination.data() + first);
        }
        before += channels;
    }
}

void EntropyModel::apply(const AddStep &step, Workspace &workspace) const {
    const std::vector<int16_t> &first = workspace.values[step.first], &second = workspace.values[step.second];
    std::vector<int16_t> &destination = workspace.values[step.destination];
    destination.resize(first.size());
    const int64_t half = int64_t{1} << (step.shift - 1);
    for (size_t i = 0; i < destination.size(); ++i) {
        const int64_t sum = int64_t{step.first_multiplier} * first[i] + int64_t{step.second_multiplier} * second[i];
        destination[i] = static_cast<int16_t>(std::clamp<int64_t>((sum + half) >> step.shift, step.low, step.high));
    }
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
