// The steps *code* and *residual*: a whole tensor by coding tables. They differ in whether an encoder is handed the
// symbols or rounds what it is handed to them.
#include <algorithm>

#include "model/step_reader.h"

namespace edgecodec {
namespace {

constexpr size_t kTableByChannel = 65535;

// One table for each channel. Channels go side by side, so many at a time.
class ChannelCodeStep final : public EntropyStep {
public:
    ChannelCodeStep(size_t tensor, const CodingTables &tables) : tensor_(tensor), tables_(tables) {}

    void decode(Workspace &workspace, RangeDecoder &decoder, bool last) const override {
        const Extent extent = workspace.extent(tensor_);
        const std::vector<uint16_t> table_of_symbol = tables_by_channel(extent);
        std::vector<int16_t> symbols(extent.values());
        decoder.decode(tables_, table_of_symbol.data(), symbols.data(), symbols.size(), last);
        int16_t *const planes = workspace.new_planes(tensor_);
        visit(extent, [&](size_t coded, size_t place, size_t) { planes[place] = symbols[coded]; });
    }

    void encode(Workspace &workspace, RangeEncoder &encoder) const override {
        const Extent extent = workspace.extent(tensor_);
        const std::vector<uint16_t> table_of_symbol = tables_by_channel(extent);
        std::vector<int16_t> symbols(extent.values());
        const int16_t *const planes = workspace.planes(tensor_);
        visit(extent, [&](size_t coded, size_t place, size_t) { symbols[coded] = planes[place]; });
        encoder.add(tables_, table_of_symbol.data(), symbols.data(), symbols.size());
    }

private:
    static constexpr size_t kBlock = 32;

    // visit(place in coding order, place in the planes, channel)
    template <class Visit>
    static void visit(const Extent &extent, Visit &&visit) {
        const size_t positions = extent.positions();
        size_t coded = 0;
        for (size_t first = 0; first < extent.channels; first += kBlock) {
            const size_t beyond = std::min(first + kBlock, extent.channels);
            for (size_t position = 0; position < positions; ++position) {
                for (size_t channel = first; channel < beyond; ++channel, ++coded) {
                    visit(coded, channel * positions + position, channel);
                }
            }
        }
    }

    static std::vector<uint16_t> tables_by_channel(const Extent &extent) {
        std::vector<uint16_t> table_of_symbol(extent.values());
        visit(extent, [&](size_t coded, size_t, size_t channel) {
            table_of_symbol[coded] = static_cast<uint16_t>(channel);
        });
        return table_of_symbol;
    }

    size_t tensor_;
    const CodingTables &tables_;
};

class IndexedCodeStep : public EntropyStep {
public:
    IndexedCodeStep(size_t tensor, const CodingTables &tables, size_t indices)
        : tensor_(tensor), tables_(tables), indices_(indices) {}

    void decode(Workspace &workspace, RangeDecoder &decoder, bool last) const final {
        int16_t *const planes = workspace.new_planes(tensor_);
        decoder.decode(tables_, workspace.indices(indices_), planes, workspace.extent(tensor_).values(), last);
    }

    void encode(Workspace &workspace, RangeEncoder &encoder) const override {
        const size_t count = workspace.extent(tensor_).values();
        encoder.add(tables_, workspace.indices(indices_), workspace.planes(tensor_), count);
    }

protected:
    size_t tensor_;
    const CodingTables &tables_;
    size_t indices_;
};

class ResidualStep final : public IndexedCodeStep {
public:
    ResidualStep(size_t tensor, const CodingTables &tables, size_t indices, size_t target, size_t first_channel,
                 size_t mean, unsigned fraction)
        : IndexedCodeStep(tensor, tables, indices),
          target_(target),
          first_channel_(first_channel),
          mean_(mean),
          fraction_(fraction) {}

    void encode(Workspace &workspace, RangeEncoder &encoder) const override {
        const Extent extent = workspace.extent(tensor_);
        const int16_t *const target = workspace.planes(target_) + first_channel_ * extent.positions();
        const int16_t *const mean = workspace.planes(mean_);
        int16_t *const symbols = workspace.new_planes(tensor_);
        const int32_t half = (1 << fraction_) >> 1;
        for (size_t i = 0; i < extent.values(); ++i) {
            const int32_t rounded = (target[i] - mean[i] + half) >> fraction_;
            symbols[i] = static_cast<int16_t>(std::clamp<int32_t>(rounded, INT16_MIN, INT16_MAX));
        }
        IndexedCodeStep::encode(workspace, encoder);
    }

private:
    size_t target_, first_channel_, mean_;
    unsigned fraction_;
};

}  // namespace

std::unique_ptr<EntropyStep> read_code_step(StepReader &reader) {
    const size_t tensor = reader.read_coded();
    const CodingTables &tables = reader.read_table_set();
    const size_t indices = reader.bytes.u16();
    if (indices == kTableByChannel) {
        if (tables.size() != reader.shape(tensor).channels) reader.fail("has not one table for each channel");
        reader.define(tensor, {INT16_MIN, INT16_MAX});
        return std::make_unique<ChannelCodeStep>(tensor, tables);
    }
    reader.require_indices(indices, tensor, tables);
    reader.define(tensor, {INT16_MIN, INT16_MAX});
    return std::make_unique<IndexedCodeStep>(tensor, tables, indices);
}

std::unique_ptr<EntropyStep> read_residual_step(StepReader &reader) {
    const size_t tensor = reader.read_new();
    const CodingTables &tables = reader.read_table_set();
    const size_t indices = reader.bytes.u16();
    reader.require_indices(indices, tensor, tables);
    const size_t target = reader.read_target(), first_channel = reader.bytes.u16(), mean = reader.read_source();
    const unsigned fraction = reader.bytes.u8();
    const ModelTensor &coded = reader.shape(tensor), &wanted = reader.shape(target);
    if (target == tensor) reader.fail("rounds a tensor towards itself");
    if (wanted.stride != coded.stride || first_channel + coded.channels > wanted.channels) {
        reader.fail("rounds towards channels that are not there");
    }
    if (!reader.same_shape(mean, tensor)) reader.fail("rounds against means of another shape");
    if (fraction > 14) reader.fail("has a fraction out of range");
    reader.define(tensor, {INT16_MIN, INT16_MAX});
    return std::make_unique<ResidualStep>(tensor, tables, indices, target, first_channel, mean, fraction);
}

}  // namespace edgecodec
