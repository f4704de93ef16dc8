// The step *residual*: codes as *code* does, but an encoder computes the symbols: target minus mean, rounded.
#include <algorithm>

#include "model/indexed_code_step.h"
#include "model/step_reader.h"

namespace edgecodec {
namespace {

class ResidualStep final : public IndexedCodeStep {
public:
    ResidualStep(size_t tensor, const CodingTables &tables, size_t indices, size_t target, size_t first_channel,
                 size_t mean, unsigned fraction)
        : IndexedCodeStep(tensor, tables, indices),
          target_(target),
          first_channel_(first_channel),
          mean_(mean),
          fraction_(fraction) {}

    void encode(Workspace &workspace, RansEncoder &encoder) const override {
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
