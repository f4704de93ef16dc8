// The C functions of integer nets alone.
#include <algorithm>
#include <memory>
#include <vector>

#include "nets/integer_net.h"
#include "support/status.h"
#include "support/transpose.h"

using namespace edgecodec;

struct ec_core_net {
    IntegerNet net;
};

namespace {

struct Shapes {
    Shape input, output;
    size_t channels;
};

Shapes shapes(const ec_core_net *net, uint32_t rows, uint32_t columns) {
    if (net == nullptr) throw Failure(EC_INVALID_ARGUMENT, "no net");
    const Shape input{rows, columns};
    return {input, net->net.output_shape(input), static_cast<size_t>(net->net.output_channels())};
}

}  // namespace

ec_status ec_core_net_open(const uint8_t *data, size_t size, ec_core_net **out, ec_error *error) {
    return guarded(error, [&] {
        if (out == nullptr || (data == nullptr && size > 0)) throw Failure(EC_INVALID_ARGUMENT, "no net");
        ByteReader reader(data, size, EC_BAD_MODEL);
        auto net = std::make_unique<ec_core_net>(ec_core_net{IntegerNet::parse(reader)});
        if (reader.remaining() > 0) reader.fail("has bytes after its net");
        *out = net.release();
    });
}

void ec_core_net_close(ec_core_net *net) { delete net; }

ec_status ec_core_net_shape(const ec_core_net *net, uint32_t rows, uint32_t columns, uint32_t out[3], ec_error *error) {
    return guarded(error, [&] {
        const Shapes found = shapes(net, rows, columns);
        out[0] = static_cast<uint32_t>(found.channels);
        out[1] = static_cast<uint32_t>(found.output.rows);
        out[2] = static_cast<uint32_t>(found.output.columns);
    });
}

ec_status ec_core_net_run(const ec_core_net *net, const int16_t *input, uint32_t rows, uint32_t columns,
                          int16_t *output, uint32_t threads, ec_error *error) {
    return guarded(error, [&] {
        if (input == nullptr || output == nullptr || threads == 0) {
            throw Failure(EC_INVALID_ARGUMENT, "a net needs an input, an output and a thread");
        }
        const Shapes found = shapes(net, rows, columns);
        const IntegerNet &integer_net = net->net;
        const size_t channels = static_cast<size_t>(integer_net.input_channels());
        const size_t positions = found.input.rows * found.input.columns;
        const int16_t low = integer_net.input_low(), high = integer_net.input_high();
        bool inside = true;  // no early exit, so that the loop vectorises
        for (size_t i = 0; i < channels * positions; ++i) inside &= input[i] >= low && input[i] <= high;
        if (!inside) throw Failure(EC_INVALID_ARGUMENT, "an input is outside the bounds of the net");
        std::vector<int16_t> channels_last(positions * channels);
        transpose(input, channels, positions, channels_last.data());
        const size_t output_positions = found.output.rows * found.output.columns;
        const size_t size = found.channels * output_positions;
        if (integer_net.gives_indices()) {
            std::vector<uint8_t> indices(size);
            integer_net.run(channels_last.data(), found.input, indices.data(), nullptr, threads);
            std::copy(indices.begin(), indices.end(), output);
            return;
        }
        std::vector<int16_t> values(size);
        integer_net.run(channels_last.data(), found.input, nullptr, values.data(), threads);
        transpose(values.data(), output_positions, found.channels, output);
    });
}
