// The step *net*: runs an integer net from one tensor to another.
#include "model/step_reader.h"

namespace edgecodec {
namespace {

class NetStep final : public Computation {
public:
    NetStep(size_t destination, size_t source, const IntegerNet &net)
        : destination_(destination), source_(source), net_(net) {}

    void run(Workspace &workspace) const override {
        const Extent source = workspace.extent(source_);
        const bool indices = net_.gives_indices();
        net_.run(workspace.pixels(source_), {source.rows, source.columns},
                 indices ? workspace.new_indices(destination_) : nullptr,
                 indices ? nullptr : workspace.new_pixels(destination_), workspace.threads());
    }

    Cost cost(const Extents &extents) const override {
        const Extent source = extents[source_];
        return net_.cost({source.rows, source.columns});
    }

private:
    size_t destination_, source_;
    const IntegerNet &net_;
};

}  // namespace

std::unique_ptr<EntropyStep> read_net_step(StepReader &reader) {
    const size_t destination = reader.bytes.u16(), source = reader.read_source();
    const IntegerNet &net = reader.read_net();
    reader.require_new(destination, net.gives_indices());
    const ModelTensor &from = reader.shape(source), &to = reader.shape(destination);
    const Interval input = reader.bounds(source);
    if (input.low < net.input_low() || input.high > net.input_high()) {
        reader.fail("runs a net on a tensor that is not held to the net's bounds");
    }
    if (static_cast<uint32_t>(net.input_channels()) != from.channels ||
        static_cast<uint32_t>(net.output_channels()) != to.channels) {
        reader.fail("runs a net between tensors it does not fit");
    }
    // In units of the model's alignment.
    const Side side{reader.parts.alignment / from.stride, 0};
    const std::optional<Sides> output = net.output_sides({side, side});
    const Side expected{reader.parts.alignment / to.stride, 0};
    if (!output || output->rows != expected || output->columns != expected) {
        reader.fail("runs a net whose output has another extent");
    }
    const Interval indices{0, static_cast<int16_t>(net.thresholds())};
    reader.define(destination, net.gives_indices() ? indices : net.output());
    return std::make_unique<NetStep>(destination, source, net);
}

}  // namespace edgecodec
