// The step *mixture*: codes every value with a distribution that a net computes from its neighbours, along a wavefront,
// so that a whole diagonal of positions runs through the net at once.
#include <algorithm>

#include "model/mixture.h"
#include "model/step_reader.h"

namespace edgecodec {
namespace {

struct Tap {
    uint8_t up;
    int8_t across;
};

// The values known so far, clamped to the bounds of the net's input, with a border for positions outside.
class KnownValues {
public:
    KnownValues(const Extent &extent, const std::vector<Tap> &taps, Interval bounds) : bounds_(bounds) {
        for (const Tap tap : taps) {
            above_ = std::max<size_t>(above_, tap.up);
            if (tap.across < 0) left_ = std::max<size_t>(left_, static_cast<size_t>(-tap.across));
            if (tap.across > 0) right = std::max<size_t>(right, static_cast<size_t>(tap.across));
        }
        channels_ = extent.channels;
        row_step_ = (left_ + extent.columns + right) * channels_;
        values_.assign((above_ + extent.rows) * row_step_, clamped(0));
    }

    const int16_t *at(size_t row, size_t column, Tap tap) const {
        return values_.data() + (above_ + row - tap.up) * row_step_ +
               (left_ + column + static_cast<size_t>(static_cast<ptrdiff_t>(tap.across))) * channels_;
    }
    void set(size_t row, size_t column, size_t channel, int16_t value) {
        values_[(above_ + row) * row_step_ + (left_ + column) * channels_ + channel] = clamped(value);
    }

private:
    int16_t clamped(int16_t value) const { return std::clamp(value, bounds_.low, bounds_.high); }

    Interval bounds_;
    size_t above_ = 0, left_ = 0, right = 0, channels_, row_step_;
    std::vector<int16_t> values_;
};

class MixtureStep final : public EntropyStep {
public:
    MixtureStep(size_t tensor, const IntegerNet &net, unsigned delay, std::vector<Tap> taps, MixtureRule rule)
        : tensor_(tensor), net_(net), delay_(delay), taps_(std::move(taps)), rule_(std::move(rule)) {}

    void decode(Workspace &workspace, RansDecoder &decoder, bool last) const override {
        int16_t *const planes = workspace.new_planes(tensor_);
        decoder.begin(workspace.extent(tensor_).values(), last);
        walk(workspace, [&](size_t place, const Mixture &mixture) {
            const int16_t value = mixture.decode(decoder);
            planes[place] = value;
            return value;
        });
    }

    void encode(Workspace &workspace, RansEncoder &encoder) const override {
        const int16_t *const planes = workspace.planes(tensor_);
        encoder.begin();
        walk(workspace, [&](size_t place, const Mixture &mixture) {
            mixture.encode(encoder, planes[place]);
            return planes[place];
        });
    }

    // The net runs along one diagonal at a time. Every value evaluates its mixture some times.
    Cost cost(const Extents &extents) const override {
        const Extent extent = extents[tensor_];
        const size_t longest = std::min(extent.rows, (extent.columns + delay_ - 1) / delay_);
        const Cost front = net_.cost({1, longest});
        const uint64_t values = extent.values();
        return {front.bytes + 4 * values,
                front.multiplications / longest * extent.positions() + values * rule_.components * kEvaluations};
    }

private:
    static constexpr uint64_t kEvaluations = 16;

    // Calls code(place in the planes, mixture), which returns the value there, for every value.
    template <class Code>
    void walk(Workspace &workspace, Code &&code) const {
        const Extent extent = workspace.extent(tensor_);
        const size_t channels = extent.channels, fronts = extent.columns + delay_ * (extent.rows - 1);
        KnownValues known(extent, taps_, {net_.input_low(), net_.input_high()});
        const size_t longest = std::min(extent.rows, (extent.columns + delay_ - 1) / delay_);
        std::vector<int16_t> around(longest * taps_.size() * channels);
        std::vector<int16_t> parameters(longest * 3 * rule_.components * channels);
        Mixture mixture(rule_);
        for (size_t front = 0; front < fronts; ++front) {
            const size_t first = front < extent.columns ? 0 : (front - extent.columns) / delay_ + 1;
            const size_t beyond = std::min(front / delay_ + 1, extent.rows);
            if (first >= beyond) continue;  // empty where a picture has fewer columns than the delay
            int16_t *next = around.data();
            for (size_t row = first; row < beyond; ++row) {
                for (const Tap tap : taps_) {
                    next = std::copy_n(known.at(row, front - delay_ * row, tap), channels, next);
                }
            }
            net_.run(around.data(), {1, beyond - first}, nullptr, parameters.data(), workspace.threads());
            const int16_t *parameter = parameters.data();
            for (size_t row = first; row < beyond; ++row, parameter += 3 * rule_.components * channels) {
                const size_t column = front - delay_ * row, position = row * extent.columns + column;
                for (size_t channel = 0; channel < channels; ++channel) {
                    mixture.set(parameter + channel, channels);
                    known.set(row, column, channel, code(channel * extent.positions() + position, mixture));
                }
            }
        }
    }

    size_t tensor_;
    const IntegerNet &net_;
    size_t delay_;
    std::vector<Tap> taps_;
    MixtureRule rule_;
};

std::vector<Tap> read_taps(StepReader &reader, unsigned delay) {
    std::vector<Tap> taps(reader.bytes.u8());
    for (Tap &tap : taps) {
        tap.up = reader.bytes.u8();
        tap.across = reader.bytes.i8();
        if (tap.across >= static_cast<int>(delay * tap.up)) reader.fail("has a tap on a value that is not decoded yet");
    }
    return taps;
}

}  // namespace

std::unique_ptr<EntropyStep> read_mixture_step(StepReader &reader) {
    const size_t tensor = reader.read_coded();
    const IntegerNet &net = reader.read_net();
    const unsigned delay = reader.bytes.u8();
    if (delay < 1) reader.fail("has a wavefront without delay");
    std::vector<Tap> taps = read_taps(reader, delay);
    MixtureRule rule = MixtureRule::parse(reader.bytes);
    const size_t channels = reader.shape(tensor).channels;
    if (net.gives_indices() || !net.pointwise() ||
        static_cast<size_t>(net.input_channels()) != taps.size() * channels ||
        static_cast<size_t>(net.output_channels()) != 3 * rule.components * channels) {
        reader.fail("computes mixtures with a net that does not fit");
    }
    reader.define(tensor, {INT16_MIN, INT16_MAX});
    return std::make_unique<MixtureStep>(tensor, net, delay, std::move(taps), std::move(rule));
}

}  // namespace edgecodec
