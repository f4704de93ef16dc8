// Compares every set of kernels of this processor with the scalar one, on random coding tables, streams (intact and
// damaged) and integer nets. Uses the C interface only, so that it runs on machines without Python.
//
//     differential [ROUNDS [SEED]]
//
// The exit status is 1 if anything differs. The printed round, with the seed, reproduces it.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "core_calls.h"

namespace {

// SplitMix64: the same numbers everywhere, unlike the distributions of the standard library.
class Random {
public:
    explicit Random(uint64_t seed) : state_(seed) {}

    uint64_t next() {
        uint64_t z = state_ += 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        return z ^ z >> 31;
    }
    // Inclusive.
    int64_t between(int64_t low, int64_t high) {
        return low + static_cast<int64_t>(next() % (static_cast<uint64_t>(high) - static_cast<uint64_t>(low) + 1));
    }
    bool one_in(int64_t count) { return between(1, count) == 1; }

private:
    uint64_t state_;
};

class Writer {
public:
    Writer &put(int64_t value, size_t size) {
        for (size_t i = 0; i < size; ++i) bytes_.push_back(static_cast<uint8_t>(value >> 8 * i & 255));
        return *this;
    }
    Writer &u8(int64_t value) { return put(value, 1); }
    Writer &u16(int64_t value) { return put(value, 2); }
    Writer &u32(int64_t value) { return put(value, 4); }
    const std::vector<uint8_t> &bytes() const { return bytes_; }

private:
    std::vector<uint8_t> bytes_;
};

void require(bool agreed, const std::string &kernels, const char *what) {
    if (!agreed) throw std::runtime_error(kernels + ": " + what + " differ");
}

// ---- streams -----------------------------------------------------------------------------------------------------

struct Table {
    std::vector<int> frequencies;
    int raw_bits, sign, mode;
};

constexpr int kSum = 1 << 14;

Table random_table(Random &random, bool centred, int ranks) {
    Table table;
    // From tables dominated by one rank to flat ones.
    const int64_t share = random.between(8, 250);
    int left = kSum;
    for (int after = ranks - 1; after > 0; --after) {
        const int64_t wanted = random.one_in(4) ? random.between(1, left) : left * share / 256;
        table.frequencies.push_back(static_cast<int>(std::clamp<int64_t>(wanted, 1, left - after)));
        left -= table.frequencies.back();
    }
    table.frequencies.push_back(left);
    table.raw_bits = static_cast<int>(random.one_in(3) ? random.between(1, 12) : 0);
    table.sign = centred || random.one_in(2) ? 1 : -1;
    table.mode = centred ? 0 : static_cast<int>(random.between(-2000, 2000));
    return table;
}

int unzigzag(int rank) { return rank % 2 != 0 ? (rank + 1) / 2 : -(rank / 2); }

int16_t random_symbol(Random &random, const Table &table) {
    int slot = static_cast<int>(random.between(0, kSum - 1));
    size_t rank = 0;
    for (; slot >= table.frequencies[rank]; ++rank) slot -= table.frequencies[rank];
    int64_t distance;
    if (rank + 1 < table.frequencies.size()) {
        const int64_t width = int64_t{1} << table.raw_bits;
        distance = unzigzag(static_cast<int>(rank)) * width - width / 2 + random.between(0, width - 1);
    } else {
        distance = random.between(-32767, 32767) >> random.between(0, 15);
    }
    const int64_t value = table.mode + table.sign * distance;
    return static_cast<int16_t>(value < INT16_MIN || value > INT16_MAX ? table.mode : value);
}

// The result of decoding a payload; symbols and digest are only set if the status is EC_OK.
struct Decoded {
    ec_status status;
    std::vector<int16_t> symbols;
    uint32_t digest;

    bool operator==(const Decoded &other) const {
        return status == other.status && symbols == other.symbols && digest == other.digest;
    }
};

struct Stream {
    std::vector<uint8_t> indices;
    std::vector<size_t> counts;
    uint32_t lanes;

    Decoded decode(const ec_core_tables *tables, const std::vector<uint8_t> &payload) const {
        Decoded decoded{EC_OK, std::vector<int16_t>(indices.size()), 0};
        ec_error error{};
        decoded.status =
            ec_core_coder_decode(tables, indices.data(), decoded.symbols.data(), counts.data(), counts.size(), lanes,
                                 &decoded.digest, payload.data(), payload.size(), &error);
        if (decoded.status == EC_INTERNAL) throw std::runtime_error(error.message);
        return decoded.status == EC_OK ? decoded : Decoded{decoded.status, {}, 0};
    }
};

std::vector<uint8_t> damaged(Random &random, std::vector<uint8_t> payload) {
    for (int64_t changes = random.between(1, 3); changes > 0 && !payload.empty(); --changes) {
        const size_t at = static_cast<size_t>(random.between(0, static_cast<int64_t>(payload.size()) - 1));
        if (random.one_in(3)) {
            payload.resize(at);
        } else {
            payload[at] = static_cast<uint8_t>(random.next());
        }
    }
    return payload;
}

void compare_streams(Random &random, const std::vector<std::string> &kernels) {
    // Sets that are not centred, or have more than 64 tables, are decoded without a ladder.
    const bool ladder = !random.one_in(8);
    // In a set of short tables of equal length, escapes are the highest ranks of a row.
    const int64_t same_ranks = random.one_in(3) ? random.between(2, 8) : 0;
    std::vector<Table> tables(static_cast<size_t>(random.between(1, ladder ? 64 : 100)));
    Writer writer;
    writer.u16(static_cast<int64_t>(tables.size()));
    for (Table &table : tables) {
        const int64_t ranks = same_ranks > 0 ? same_ranks : random.between(2, 64);
        table = random_table(random, ladder, static_cast<int>(ranks));
        writer.u8(static_cast<int64_t>(table.frequencies.size())).u8(table.raw_bits).u8(table.sign).u8(0);
        writer.u16(table.mode);
        for (const int frequency : table.frequencies) writer.u16(frequency);
    }
    ec_core_tables *opened = nullptr;
    call(ec_core_tables_open, writer.bytes().data(), writer.bytes().size(), &opened);
    const std::unique_ptr<ec_core_tables, decltype(&ec_core_tables_close)> owner(opened, ec_core_tables_close);

    Stream stream{{}, {}, static_cast<uint32_t>(1) << random.between(5, 6)};
    if (random.one_in(6)) stream.lanes = random.one_in(2) ? 2 : 8;
    std::vector<int16_t> symbols;
    for (int64_t steps = random.between(1, 3); steps > 0; --steps) {
        stream.counts.push_back(static_cast<size_t>(random.between(0, random.one_in(2) ? 200 : 3000)));
        for (size_t i = 0; i < stream.counts.back(); ++i) {
            stream.indices.push_back(static_cast<uint8_t>(random.between(0, static_cast<int64_t>(tables.size()) - 1)));
            symbols.push_back(random_symbol(random, tables[stream.indices.back()]));
        }
    }
    const uint32_t digest = static_cast<uint32_t>(random.next());

    std::vector<uint8_t> first_payload;
    for (const std::string &name : kernels) {
        call(ec_core_kernels_force, name.c_str());
        std::vector<uint8_t> payload(1024 + 6 * symbols.size());
        size_t written = 0;
        call(ec_core_coder_encode, opened, stream.indices.data(), symbols.data(), stream.counts.data(),
             stream.counts.size(), &stream.lanes, digest, payload.data(), payload.size(), &written);
        payload.resize(written);
        if (first_payload.empty()) first_payload = payload;
        require(payload == first_payload, name, "payloads");
        require(stream.decode(opened, payload) == Decoded{EC_OK, symbols, digest}, name, "symbols");
    }
    for (int i = 0; i < 8; ++i) {
        const std::vector<uint8_t> payload = damaged(random, first_payload);
        call(ec_core_kernels_force, kernels.front().c_str());
        const Decoded scalar = stream.decode(opened, payload);
        for (const std::string &name : kernels) {
            call(ec_core_kernels_force, name.c_str());
            require(stream.decode(opened, payload) == scalar, name, "symbols of a damaged payload");
        }
    }
}

// ---- nets --------------------------------------------------------------------------------------------------------

struct Bounds {
    int64_t low, high;
};

Bounds random_bounds(Random &random) {
    switch (random.between(0, 4)) {
        case 0: return {0, 255};
        case 1: return {-128, 127};
        case 2: return {INT16_MIN, INT16_MAX};
        case 3: return {-1, 1};
        default: {
            const int64_t one = random.between(INT16_MIN, INT16_MAX), other = random.between(INT16_MIN, INT16_MAX);
            return {std::min(one, other), std::max(one, other)};
        }
    }
}

// Bounds of an output channel's accumulator, without its bias.
Bounds sum_bounds(const std::vector<int64_t> &weights, Bounds input) {
    Bounds sum{0, 0};
    for (const int64_t weight : weights) {
        sum.low += std::min({int64_t{0}, weight * input.low, weight * input.high});
        sum.high += std::max({int64_t{0}, weight * input.low, weight * input.high});
    }
    return sum;
}

struct Shape {
    int64_t channels;
    Bounds bounds;
};

// Writes a layer whose accumulators may reach the ends of 32 bits, and returns the shape of its output.
Shape write_layer(Random &random, Writer &writer, Shape input, bool gives_indices) {
    const bool transposed = random.one_in(2);
    const int64_t kernel = random.between(1, 5), stride = random.between(1, std::min<int64_t>(kernel, 3));
    const int64_t padding = random.between(0, kernel - 1);
    const int64_t output_padding = transposed ? random.between(0, stride - 1) : 0;
    const int64_t weight_bytes = random.between(1, 2);
    const int64_t outputs = random.between(1, random.one_in(2) ? 8 : 40);
    writer.u8(transposed).u8(kernel).u8(stride).u8(padding).u8(output_padding).u8(weight_bytes);
    writer.u16(input.channels).u16(outputs);

    // Small weights often make an accumulator equal to a threshold.
    const int64_t largest = random.one_in(3) ? 1 : weight_bytes == 1 ? 127 : 32767;
    std::vector<std::vector<int64_t>> weights(static_cast<size_t>(outputs));
    std::vector<Bounds> accumulators;
    for (std::vector<int64_t> &of_output : weights) {
        for (int64_t taps = kernel * kernel * input.channels; taps > 0; --taps) {
            of_output.push_back(random.one_in(8) ? -largest - 1 : random.between(-largest - 1, largest));
        }
        Bounds sum = sum_bounds(of_output, input.bounds);
        while (sum.high - sum.low > UINT32_MAX) {
            for (int64_t &weight : of_output) weight /= 2;
            sum = sum_bounds(of_output, input.bounds);
        }
        const int64_t bias = random.between(std::max<int64_t>(INT32_MIN - sum.low, INT32_MIN),
                                            std::min<int64_t>(INT32_MAX - sum.high, INT32_MAX));
        accumulators.push_back({bias + sum.low, bias + sum.high});
        writer.u32(bias);
    }
    for (const std::vector<int64_t> &of_output : weights) {
        for (const int64_t weight : of_output) writer.put(weight, static_cast<size_t>(weight_bytes));
    }

    if (gives_indices) {
        const int64_t thresholds = random.between(1, 255);
        writer.u8(1).u16(thresholds);
        for (const Bounds &range : accumulators) {
            std::vector<int64_t> ascending;
            for (int64_t i = 0; i < thresholds; ++i) ascending.push_back(random.between(range.low, range.high));
            if (random.one_in(4)) ascending.assign(ascending.size(), ascending.front());
            std::sort(ascending.begin(), ascending.end());
            for (const int64_t threshold : ascending) writer.u32(threshold);
        }
        return {outputs, {0, thresholds}};
    }
    writer.u8(0);
    for (int64_t i = 0; i < 2 * outputs; ++i) writer.u32(random.between(INT32_MIN, INT32_MAX) >> random.between(0, 24));
    for (int64_t i = 0; i < outputs; ++i) writer.u8(random.one_in(4) ? random.between(1, 62) : random.between(24, 40));
    const Bounds bounds = random_bounds(random);
    writer.u16(bounds.low).u16(bounds.high);
    return {outputs, bounds};
}

struct Net {
    explicit Net(const std::vector<uint8_t> &bytes) {
        ec_core_net *net = nullptr;
        call(ec_core_net_open, bytes.data(), bytes.size(), &net);
        opened.reset(net);
    }

    struct Close {
        void operator()(ec_core_net *net) const { ec_core_net_close(net); }
    };
    std::unique_ptr<ec_core_net, Close> opened;
};

void compare_nets(Random &random, const std::vector<std::string> &kernels) {
    const Shape input{random.between(1, random.one_in(2) ? 5 : 40), random_bounds(random)};
    const int64_t layers = random.between(1, 3);
    Writer writer;
    writer.u16(input.bounds.low).u16(input.bounds.high).u16(layers);
    Shape shape = input;
    for (int64_t i = 1; i <= layers; ++i) shape = write_layer(random, writer, shape, i == layers && random.one_in(2));

    const auto rows = static_cast<uint32_t>(random.between(1, 12));
    const auto columns = static_cast<uint32_t>(random.between(1, 24));
    std::vector<int16_t> values(static_cast<size_t>(input.channels) * rows * columns);
    for (int16_t &value : values) {
        const int64_t end = random.one_in(2) ? input.bounds.low : input.bounds.high;
        value = static_cast<int16_t>(random.one_in(4) ? end : random.between(input.bounds.low, input.bounds.high));
    }

    std::vector<int16_t> expected;
    for (const std::string &name : kernels) {
        call(ec_core_kernels_force, name.c_str());
        const Net net(writer.bytes());
        uint32_t sides[3];
        ec_error error{};
        // A convolution may need more rows or columns than there are.
        if (ec_core_net_shape(net.opened.get(), rows, columns, sides, &error) != EC_OK) return;
        for (const uint32_t threads : {1u, 2u}) {
            std::vector<int16_t> output(size_t{sides[0]} * sides[1] * sides[2]);
            call(ec_core_net_run, net.opened.get(), values.data(), rows, columns, output.data(), threads);
            if (expected.empty()) expected = output;
            require(output == expected, name, "outputs of a net");
        }
    }
}

}  // namespace

int main(int count, char **arguments) {
    const uint64_t rounds = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 300;
    const uint64_t seed = count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 1;
    const std::vector<std::string> kernels = available_kernels();
    uint64_t wrong = 0;
    for (uint64_t round = 0; round < rounds; ++round) {
        Random random(seed << 32 ^ round);
        try {
            compare_streams(random, kernels);
            compare_nets(random, kernels);
        } catch (const std::exception &failure) {
            std::printf("round %llu: %s\n", static_cast<unsigned long long>(round), failure.what());
            ++wrong;
        }
    }
    std::printf("%llu rounds with kernels %s: %llu wrong\n", static_cast<unsigned long long>(rounds),
                ec_core_kernels_available(), static_cast<unsigned long long>(wrong));
    return wrong == 0 ? 0 : 1;
}
