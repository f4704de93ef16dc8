// The step *code*: codes a whole tensor with coding tables, one for each channel or one named by an index for each
// value.
#include <algorithm>

#include "model/indexed_code_step.h"
#include "model/step_reader.h"

namespace edgecodec {
namespace {

constexpr size_t kTableByChannel = 65535;

// One table for each channel. kBlock channels are interleaved at a time.
class ChannelCodeStep final : public EntropyStep {
public:
    ChannelCodeStep(size_t tensor, const CodingTables &tables) : tensor_(tensor), tables_(tables) {}

    void decode(Workspace &workspace, RansDecoder &decoder, bool last) const override {
        const Extent extent = workspace.extent(tensor_);
        const std::vector<uint16_t> table_of_symbol = tables_by_channel(extent);
        std::vector<int16_t> symbols(extent.values());
        decoder.decode(tables_, table_of_symbol.data(), symbols.data(), symbols.size(), last);
        int16_t *const planes = workspace.new_planes(tensor_);
        visit(extent, [&](size_t coded, size_t place, size_t) { planes[place] = symbols[coded]; });
    }

    void encode(Workspace &workspace, RansEncoder &encoder) const override {
        const Extent extent = workspace.extent(tensor_);
        const std::vector<uint16_t> table_of_symbol = tables_by_channel(extent);
        std::vector<int16_t> symbols(extent.values());
        const int16_t *const planes = workspace.planes(tensor_);
        visit(extent, [&](size_t coded, size_t place, size_t) { symbols[coded] = planes[place]; });
        encoder.add(tables_, table_of_symbol.data(), symbols.data(), symbols.size());
    }

    // A symbol and its table for every value.
    Cost cost(const Extents &extents) const override { return {4 * extents[tensor_].values(), 0}; }

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
        visit(extent,
              [&](size_t coded, size_t, size_t channel) { table_of_symbol[coded] = static_cast<uint16_t>(channel); });
        return table_of_symbol;
    }

    size_t tensor_;
    const CodingTables &tables_;
};

}  // namespace

std::unique_ptr<EntropyStep> read_code_step(StepReader &reader) {
    const size_t tensor = reader.read_coded();
    const CodingTables &tables = reader.read_table_set();
    const size_t indices = reader.bytes.u16();
    if (indices == kTableByChannel) {
        if (tables.size() != reader.shape(tensor).channels) reader.fail("needs one table for each channel");
        reader.define(tensor, {INT16_MIN, INT16_MAX});
        return std::make_unique<ChannelCodeStep>(tensor, tables);
    }
    reader.require_indices(indices, tensor, tables);
    reader.define(tensor, {INT16_MIN, INT16_MAX});
    return std::make_unique<IndexedCodeStep>(tensor, tables, indices);
}

}  // namespace edgecodec
