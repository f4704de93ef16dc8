// The step *add*: a weighted sum of two tensors, value by value.
#include <algorithm>

#include "model/step_reader.h"

namespace edgecodec {
namespace {

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
            destination[i] =
                static_cast<int16_t>(std::clamp<int64_t>((sum + half) >> shift_, bounds_.low, bounds_.high));
        }
    }

private:
    size_t destination_;
    Term first_, second_;
    unsigned shift_;
    Interval bounds_;
};

}  // namespace

std::unique_ptr<EntropyStep> read_add_step(StepReader &reader) {
    const size_t destination = reader.read_new(), first = reader.read_source(), second = reader.read_source();
    if (!reader.same_shape(first, destination) || !reader.same_shape(second, destination)) {
        reader.fail("adds tensors of different shapes");
    }
    const int32_t first_multiplier = reader.bytes.i32(), second_multiplier = reader.bytes.i32();
    const unsigned shift = reader.bytes.u8();
    // Up to 62, both products, of 15 and 31 bits, plus the added half stay below 2^63.
    if (shift < 1 || shift > 62) reader.fail("has a shift out of range");
    const Interval bounds = reader.read_bounds();
    reader.define(destination, bounds);
    return std::make_unique<AddStep>(destination, AddStep::Term{first, first_multiplier},
                                     AddStep::Term{second, second_multiplier}, shift, bounds);
}

}  // namespace edgecodec
