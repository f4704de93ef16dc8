// The step *labels*: codes label maps losslessly, with a model that adapts while it codes.
#include "model/label_map.h"
#include "model/step_reader.h"

namespace edgecodec {
namespace {

constexpr unsigned kMaxClasses = 256;

// A one has the lower interval.
struct DecisionEncoder {
    RansEncoder &encoder;

    bool code(bool bit, uint32_t probability) {
        encoder.add_interval(bit ? 0 : probability, bit ? probability : 65536 - probability);
        return bit;
    }
};

struct DecisionDecoder {
    RansDecoder &decoder;

    bool code(bool, uint32_t probability) {
        const bool bit = decoder.slot() < probability;
        decoder.take(bit ? 0 : probability, bit ? probability : 65536 - probability);
        return bit;
    }
};

class LabelsStep final : public EntropyStep {
public:
    LabelsStep(size_t tensor, unsigned classes) : tensor_(tensor), classes_(classes) {}

    void decode(Workspace &workspace, RansDecoder &decoder, bool) const override {
        const Extent extent = workspace.extent(tensor_);
        int16_t *const planes = workspace.new_planes(tensor_);
        DecisionDecoder decisions{decoder};
        decoder.begin(SIZE_MAX, false);
        for (size_t i = 0; i < extent.channels; ++i) {
            decode_label_map(decisions, planes + i * extent.positions(), extent.rows, extent.columns, classes_);
        }
    }

    void encode(Workspace &workspace, RansEncoder &encoder) const override {
        const Extent extent = workspace.extent(tensor_);
        const int16_t *const planes = workspace.planes(tensor_);
        for (size_t i = 0; i < extent.values(); ++i) {
            if (planes[i] >= 0 && planes[i] < static_cast<int>(classes_)) continue;
            throw Failure(EC_OUT_OF_RANGE, "label " + std::to_string(planes[i]) + " is not one of the model's " +
                                               std::to_string(classes_) + " classes");
        }
        DecisionEncoder decisions{encoder};
        encoder.begin();
        for (size_t i = 0; i < extent.channels; ++i) {
            encode_label_map(decisions, planes + i * extent.positions(), extent.rows, extent.columns, classes_);
        }
    }

    bool count_is_known() const override { return false; }
    // Four candidates and eight halvings, of at most two bytes each.
    size_t largest_cost() const override { return 24; }

private:
    size_t tensor_;
    unsigned classes_;
};

}  // namespace

std::unique_ptr<EntropyStep> read_labels_step(StepReader &reader) {
    const size_t tensor = reader.read_coded();
    const unsigned classes = reader.bytes.u16();
    if (classes < 1 || classes > kMaxClasses) reader.fail("has a number of classes out of range");
    reader.define(tensor, {0, static_cast<int16_t>(classes - 1)});
    return std::make_unique<LabelsStep>(tensor, classes);
}

}  // namespace edgecodec
