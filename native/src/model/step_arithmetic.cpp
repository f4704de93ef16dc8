// The steps *affine*, *concat* and *add*: value by value.
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

class AddStep final : public Computation {
public:
    struct Term {
        size_t source;
        int32_t multiplier;
    };

    AddStep(size_t destination, Term first, Term second, unsigned shift, Interval bounds)
        : destination_(destination), first_(first), second_(second), shift_(shift), bounds_(bounds) {}

    void run(Workspace &workspace) const override {
        const int16_t *const first = workspace.pixels(first_.source), *const second = workspace.pixels(second_.source);
        int16_t *const destination = workspace.new_pixels(destination_);
        const size_t count = workspace.extent(destination_).values();
        const int64_t half = int64_t{1} << (shift_ - 1);
        for (size_t i = 0; i < count; ++i) {
            const int64_t sum = int64_t{first_.multiplier} * first[i] + int64_t{second_.multiplier} * second[i];
            destination[i] = static_cast<int16_t>(std::clamp<int64_t>((sum + half) >> shift_, bounds_.low, bounds_.high));
        }
    }

private:
    size_t destination_;
    Term first_, second_;
    unsigned shift_;
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

std::unique_ptr<EntropyStep> read_add_step(StepReader &reader) {
    const size_t destination = reader.read_new(), first = reader.read_source(), second = reader.read_source();
    if (!reader.same_shape(first, destination) || !reader.same_shape(second, destination)) {
        reader.fail("adds tensors of different shapes");
    }
    const int32_t first_multiplier = reader.bytes.i32(), second_multiplier = reader.bytes.i32();
    const unsigned shift = reader.bytes.u8();
    // Up to 62 both products, of 15 and 31 bits, and the half added to them stay below 2^63.
    if (shift < 1 || shift > 62) reader.fail("has a shift out of range");
    const Interval bounds = reader.read_bounds();
    reader.define(destination, bounds);
    return std::make_unique<AddStep>(destination, AddStep::Term{first, first_multiplier},
                                     AddStep::Term{second, second_multiplier}, shift, bounds);
}

}  // namespace edgecodec
