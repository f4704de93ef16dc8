// The step *affine*: a tensor's values times a power of two, plus an offset for each channel.
#include <algorithm>

#include "model/step_reader.h"

namespace edgecodec {
namespace {

class AffineStep final : public Computation {
public:
    AffineStep(size_t destination, size_t source, unsigned shift, std::vector<int32_t> offset, Interval bounds)
        : destination_(destination), source_(source), shift_(shift), offset_(std::move(offset)), bounds_(bounds) {}

    void run(Workspace &workspace) const override {
        const Extent extent = workspace.extent(source_);
        const int16_t *const source = workspace.pixels(source_);
        int16_t *const destination = workspace.new_pixels(destination_);
        for (size_t first = 0; first < extent.values(); first += extent.channels) {
            for (size_t channel = 0; channel < extent.channels; ++channel) {
                const int64_t scaled = source[first + channel] * (int64_t{1} << shift_) + offset_[channel];
                destination[first + channel] =
                    static_cast<int16_t>(std::clamp<int64_t>(scaled, bounds_.low, bounds_.high));
            }
        }
    }

private:
    size_t destination_, source_;
    unsigned shift_;
    std::vector<int32_t> offset_;
    Interval bounds_;
};

}  // namespace

std::unique_ptr<EntropyStep> read_affine_step(StepReader &reader) {
    const size_t destination = reader.read_new(), source = reader.read_source();
    if (!reader.same_shape(source, destination)) reader.fail("scales a tensor to one of another shape");
    const unsigned shift = reader.bytes.u8();
    if (shift > 14) reader.fail("has a shift out of range");
    std::vector<int32_t> offset = reader.bytes.i32s(reader.shape(source).channels);
    const Interval bounds = reader.read_bounds();
    reader.define(destination, bounds);
    return std::make_unique<AffineStep>(destination, source, shift, std::move(offset), bounds);
}

}  // namespace edgecodec
