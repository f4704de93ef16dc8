// The step *concat*: tensors joined along their channels.
#include <algorithm>

#include "model/step_reader.h"

namespace edgecodec {
namespace {

class ConcatStep final : public Computation {
public:
    ConcatStep(size_t destination, std::vector<size_t> sources)
        : destination_(destination), sources_(std::move(sources)) {}

    void run(Workspace &workspace) const override {
        const Extent extent = workspace.extent(destination_);
        int16_t *destination = workspace.new_pixels(destination_);
        for (const size_t tensor : sources_) {
            const size_t channels = workspace.extent(tensor).channels;
            const int16_t *const source = workspace.pixels(tensor);
            for (size_t position = 0; position < extent.positions(); ++position) {
                std::copy_n(source + position * channels, channels, destination + position * extent.channels);
            }
            destination += channels;
        }
    }

private:
    size_t destination_;
    std::vector<size_t> sources_;
};

}  // namespace

std::unique_ptr<EntropyStep> read_concat_step(StepReader &reader) {
    const size_t destination = reader.read_new();
    const size_t count = reader.bytes.u16();
    if (count == 0) reader.fail("joins no tensors");
    std::vector<size_t> sources;
    size_t channels = 0;
    Interval bounds{INT16_MAX, INT16_MIN};
    for (size_t i = 0; i < count; ++i) {
        const size_t source = reader.read_source();
        if (reader.shape(source).stride != reader.shape(destination).stride) {
            reader.fail("joins tensors of different extents");
        }
        channels += reader.shape(source).channels;
        bounds.low = std::min(bounds.low, reader.bounds(source).low);
        bounds.high = std::max(bounds.high, reader.bounds(source).high);
        sources.push_back(source);
    }
    if (channels != reader.shape(destination).channels) {
        reader.fail("joins tensors to one with another number of channels");
    }
    reader.define(destination, bounds);
    return std::make_unique<ConcatStep>(destination, std::move(sources));
}

}  // namespace edgecodec
