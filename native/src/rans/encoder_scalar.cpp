// The portable inner loops of the encoder. Divisions are multiplications by a reciprocal.
#include <algorithm>
#include <cstring>

#include "rans/coding_tables.h"
#include "rans/encoder_kernels.h"

namespace edgecodec {
namespace {

__extension__ using uint128_t = unsigned __int128;

unsigned bit_count(uint32_t value) { return value == 0 ? 1 : 32 - static_cast<unsigned>(__builtin_clz(value)); }

// The part of a symbol's distance from the middle of its table that the rank codes.
int32_t without_raw_bits(const TableShape &shape, int32_t distance) {
    return (distance + ((1 << shape.raw_bits) >> 1)) >> shape.raw_bits;
}

void put_side_bits(const TableShape &shape, int32_t distance, SideWriter &side) {
    const int32_t coded = without_raw_bits(shape, distance);
    if (zigzag(coded) < shape.escape) {
        const int32_t width = 1 << shape.raw_bits;
        put_bits(side.bits, static_cast<uint32_t>(distance + (width >> 1) - coded * width), shape.raw_bits);
        return;
    }
    const uint32_t magnitude = zigzag(distance);
    const unsigned bits = bit_count(magnitude);
    if (bits > 16) {
        side.refused = distance;
        return;
    }
    put_bits(side.bits, bits - 1, 4);
    put_bits(side.bits, magnitude, bits);
}

template <class Index>
void find_intervals(const TableSetView &tables, const Index *table_of_symbol, const int16_t *symbols, size_t count,
                    uint32_t *intervals, SideWriter &side) {
    const TableShape *const shapes = tables.shapes;
    const RankEntry *const ranks = tables.ranks;
    for (size_t i = 0; i < count; ++i) {
        const size_t table = table_of_symbol[i];
        const TableShape &shape = shapes[table];
        const int32_t distance = shape.sign * (symbols[i] - shape.mode);
        int32_t coded = distance;
        if (__builtin_expect(shape.raw_bits > 0, 0)) coded = without_raw_bits(shape, distance);
        const uint32_t rank = std::min<uint32_t>(zigzag(coded), shape.escape);
        const RankEntry &entry = ranks[table * kMaxRanks + rank];
        intervals[i] = entry.start | static_cast<uint32_t>(entry.frequency) << 16;
        if (__builtin_expect(rank == shape.escape || shape.raw_bits > 0, 0)) put_side_bits(shape, distance, side);
    }
}

// The reciprocal of every frequency, rounded down. (state + 1) * reciprocal >> 64 is then exactly state / frequency:
// the true (state + 1) / frequency lies at least 1 / frequency above that quotient, and rounding lowers it by less than
// 2^-32.
struct Reciprocals {
    // Not at compile time, where it would be 131 kB of the library, which most devices only decode with.
    Reciprocals() {
        for (uint64_t frequency = 1; frequency <= kProbabilitySum; ++frequency) {
            of_frequency[frequency] = UINT64_MAX / frequency;
        }
    }
    uint64_t of_frequency[kProbabilitySum + 1];
};

const uint64_t *reciprocals() {
    static const Reciprocals made;
    return made.of_frequency;
}

bool word_is_due(uint32_t interval, uint32_t lane) { return lane >> (32 - kProbabilityBits) >= interval >> 16; }

// (state / frequency << 14) + state % frequency + start. The state must be low enough that no word is due.
uint32_t advanced(const uint64_t *reciprocals, uint32_t interval, uint32_t lane) {
    const uint32_t start = interval & 65535, frequency = interval >> 16;
    const uint64_t quotient =
        static_cast<uint64_t>(static_cast<uint128_t>(lane + uint64_t{1}) * reciprocals[frequency] >> 64);
    return lane + static_cast<uint32_t>(quotient) * (kProbabilitySum - frequency) + start;
}

template <unsigned Lanes>
uint16_t *encode_rows(const uint32_t *intervals, size_t rows, uint32_t *lanes, uint16_t *words) {
    const uint64_t *const reciprocal = reciprocals();
    uint32_t lane[Lanes];
    for (unsigned l = 0; l < Lanes; ++l) lane[l] = lanes[l];
    for (const uint32_t *row = intervals + rows * Lanes; row != intervals;) {
        row -= Lanes;
#pragma GCC unroll 8
        for (unsigned back = 1; back <= Lanes; ++back) {
            const unsigned l = Lanes - back;
            // Without a branch, because whether a word is due is unpredictable.
            const bool due = word_is_due(row[l], lane[l]);
            words[-1] = static_cast<uint16_t>(lane[l]);
            words -= due;
            lane[l] = advanced(reciprocal, row[l], due ? lane[l] >> 16 : lane[l]);
        }
    }
    for (unsigned l = 0; l < Lanes; ++l) lanes[l] = lane[l];
    return words;
}

template <unsigned Lanes>
size_t encode_ramp(const uint32_t *intervals, size_t rows, uint32_t *lanes, size_t room, uint16_t *&words) {
    const uint64_t *const reciprocal = reciprocals();
    uint32_t lane[Lanes];
    for (unsigned l = 0; l < Lanes; ++l) lane[l] = lanes[l];
    size_t left = rows;
    for (; left > 0; --left) {
        const uint32_t *row = intervals + (left - 1) * Lanes;
        unsigned due = 0;
        for (unsigned l = 0; l < Lanes; ++l) due += word_is_due(row[l], lane[l]);
        if (__builtin_expect(due > 0, 0)) {
            if (due > room) break;
            room -= due;
            for (unsigned l = Lanes; l-- > 0;) {
                if (!word_is_due(row[l], lane[l])) continue;
                *--words = static_cast<uint16_t>(lane[l]);
                lane[l] >>= 16;
            }
        }
        for (unsigned l = 0; l < Lanes; ++l) lane[l] = advanced(reciprocal, row[l], lane[l]);
    }
    for (unsigned l = 0; l < Lanes; ++l) lanes[l] = lane[l];
    return rows - left;
}

}  // namespace

void put_side_bits(const TableSetView &tables, const uint8_t *table_of_symbol, const int16_t *symbols, uint32_t special,
                   SideWriter &side) {
    for (; special != 0; special &= special - 1) {
        const unsigned i = static_cast<unsigned>(__builtin_ctz(special));
        const TableShape &shape = tables.shapes[table_of_symbol[i]];
        put_side_bits(shape, shape.sign * (symbols[i] - shape.mode), side);
    }
}

void find_intervals_scalar(const TableSetView &tables, const uint8_t *table_of_symbol, const int16_t *symbols,
                           size_t count, uint32_t *intervals, SideWriter &side) {
    find_intervals(tables, table_of_symbol, symbols, count, intervals, side);
}

void find_channel_intervals_scalar(const TableSetView &tables, const uint16_t *table_of_symbol, const int16_t *symbols,
                                   size_t count, uint32_t *intervals, SideWriter &side) {
    find_intervals(tables, table_of_symbol, symbols, count, intervals, side);
}

// The exponent and mantissa of a float, read as one number, are its logarithm interpolated linearly between powers of
// two. The conversion of such a small integer is exact.
uint64_t sum_logarithms_scalar(const uint32_t *intervals, size_t count) {
    constexpr size_t kBlock = 1024;  // the sum of this many logarithms fits 32 bits
    uint64_t total = 0;
    for (size_t block = 0; block < count; block += kBlock) {
        const size_t end = std::min(block + kBlock, count);
        uint32_t sum = 0;
        for (size_t i = block; i < end; ++i) {
            const float frequency = static_cast<float>(static_cast<int32_t>(intervals[i] >> 16));
            uint32_t bits;
            std::memcpy(&bits, &frequency, sizeof bits);
            sum += (bits >> (23 - kLogarithmBits)) - (127u << kLogarithmBits);
        }
        total += sum;
    }
    return total;
}

uint16_t *encode_rows_scalar(const uint32_t *intervals, size_t rows, unsigned lanes, uint32_t *lane, uint16_t *words) {
    switch (lanes) {
        case 1: return encode_rows<1>(intervals, rows, lane, words);
        case 2: return encode_rows<2>(intervals, rows, lane, words);
        case 8: return encode_rows<8>(intervals, rows, lane, words);
        case 32: return encode_rows<32>(intervals, rows, lane, words);
        default: return encode_rows<64>(intervals, rows, lane, words);
    }
}

size_t encode_ramp(const uint32_t *intervals, size_t rows, unsigned lanes, uint32_t *lane, size_t room,
                   uint16_t *&words) {
    return lanes == 2 ? encode_ramp<2>(intervals, rows, lane, room, words)
                      : encode_ramp<8>(intervals, rows, lane, room, words);
}

}  // namespace edgecodec
