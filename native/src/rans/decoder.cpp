// All of a payload but the inner loops: states, ramp, side stream, and the checks at the end.
#include "rans/decoder.h"

#include <cstring>

#include "rans/kernels.h"
#include "support/byte_reader.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words and side bits are loaded as the payload stores them");

namespace edgecodec {
namespace {

[[noreturn]] void fail(const char *problem, size_t offset) {
    throw Failure(EC_CORRUPT, problem, static_cast<int64_t>(offset));
}

// The bit stream of the start states: lowest bit first.
class StateBits {
public:
    explicit StateBits(ByteReader &reader) : reader_(reader) {}

    uint32_t take(unsigned count) {
        for (; available_ < count; available_ += 8) pending_ |= static_cast<uint64_t>(reader_.u8()) << available_;
        const uint32_t value = static_cast<uint32_t>(pending_ & ((uint64_t{1} << count) - 1));
        pending_ >>= count;
        available_ -= count;
        return value;
    }
    uint64_t rest() const { return pending_; }

private:
    ByteReader &reader_;
    uint64_t pending_ = 0;
    unsigned available_ = 0;
};

uint32_t take_side_bits(DecoderState &state, unsigned count) {
    if (count > state.side_limit - state.side_position) {
        state.fault = DecodeFault::side_bits_missing;
        return 0;
    }
    uint64_t bytes;
    std::memcpy(&bytes, state.side_end - (state.side_position >> 3) - sizeof bytes, sizeof bytes);
    bytes = __builtin_bswap64(bytes) >> (state.side_position & 7);
    state.side_position += count;
    return static_cast<uint32_t>(bytes) & ((1u << count) - 1);
}

}  // namespace

int32_t escaped_distance(DecoderState &state) {
    const unsigned bits = take_side_bits(state, 4) + 1;
    const uint32_t zigzagged = take_side_bits(state, bits);
    if (bits > 1 && zigzagged >> (bits - 1) == 0) state.fault = DecodeFault::escape_too_long;
    return unzigzag(zigzagged);
}

int16_t complete_symbol(const TableSetView &tables, unsigned table, unsigned rank, DecoderState &state) {
    const TableShape &shape = tables.shapes[table];
    int32_t distance;
    if (rank == shape.escape) {
        distance = escaped_distance(state);
    } else {
        const int32_t width = 1 << shape.raw_bits;
        distance = unzigzag(rank) * width - (width >> 1) + static_cast<int32_t>(take_side_bits(state, shape.raw_bits));
    }
    const int32_t value = shape.mode + shape.sign * distance;
    if (value < INT16_MIN || value > INT16_MAX) state.fault = DecodeFault::value_too_large;
    return static_cast<int16_t>(value);
}

void complete_symbols(const TableSetView &tables, const uint8_t *table_of_symbol, const uint8_t *ranks,
                      uint32_t special, int16_t *symbols, DecoderState &state) {
    for (; special != 0; special &= special - 1) {
        const unsigned i = static_cast<unsigned>(__builtin_ctz(special));
        symbols[i] = complete_symbol(tables, table_of_symbol[i], ranks[i], state);
    }
}

RansDecoder::RansDecoder(const uint8_t *payload, size_t size, uint32_t lanes) : payload_size_(size), lanes_(lanes) {
    if (lanes != 2 && lanes != 8 && lanes != 32 && lanes != 64) {
        throw Failure(EC_INVALID_ARGUMENT, "lanes must be 2, 8, 32 or 64");
    }
    ByteReader reader(payload, size, EC_CORRUPT);
    if (lanes > 8) tail8_ = reader.varint();
    if (lanes > 2) tail2_ = reader.varint();
    StateBits bits(reader);
    for (unsigned lane = 0; lane < lanes; ++lane) {
        const unsigned length = 16 + bits.take(4);
        state_.lane[lane] = (1u << length) + bits.take(length);
    }
    if (bits.rest() != 0) reader.fail("has filling bits that are not zero");

    stream_size_ = reader.remaining();
    stream_.resize(kSidePadding + stream_size_ + kWordPadding);
    uint8_t *stream = stream_.data() + kSidePadding;
    if (stream_size_ > 0) std::memcpy(stream, reader.bytes(stream_size_), stream_size_);
    state_.words = stream;
    state_.words_end = stream + stream_size_ / 2 * 2;
    state_.side_end = stream + stream_size_;
    state_.side_limit = 8 * stream_size_;
}

namespace {

// On few lanes, decode_sparse is faster if there are more symbols than this to a bit of the words.
constexpr size_t kSparse = 8;

void decode_run(const TableSetView &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                unsigned lanes, DecoderState &state) {
    const bool ladder = tables.ladder != nullptr;
    DecodeIndexed decode = decode_indexed_scalar;
    if (lanes >= 32) {
        if (ladder) decode = rans_kernels().decode_indexed;
    } else if (8 * static_cast<size_t>(state.words_end - state.words) < count / kSparse) {
        decode = ladder ? rans_kernels().decode_sparse : decode_sparse_scalar;
    }
    decode(tables, table_of_symbol, symbols, count, lanes, state);
}

void decode_run(const TableSetView &tables, const uint16_t *table_of_symbol, int16_t *symbols, size_t count,
                unsigned lanes, DecoderState &state) {
    decode_channels_scalar(tables, table_of_symbol, symbols, count, lanes, state);
}

}  // namespace

template <class Index>
void RansDecoder::decode_part(const TableSetView &tables, const Index *&table_of_symbol, int16_t *&symbols,
                              size_t count) {
    decode_run(tables, table_of_symbol, symbols, count, lanes_, state_);
    table_of_symbol += count;
    symbols += count;
    throw_fault();
}

void RansDecoder::throw_fault() const {
    switch (state_.fault) {
        case DecodeFault::none: return;
        case DecodeFault::words_missing: fail("ends before its symbols do", payload_size_);
        case DecodeFault::side_bits_missing: fail("ends before its side bits do", payload_size_);
        case DecodeFault::escape_too_long: fail("holds an escape that is not in its shortest form", payload_size_);
        case DecodeFault::value_too_large: fail("holds a latent beyond 16 bits", payload_size_);
    }
}

template <class Index>
void RansDecoder::decode_step(const TableSetView &tables, const Index *table_of_symbol, int16_t *symbols, size_t count,
                              bool last) {
    begin(count, last);
    decode_part(tables, table_of_symbol, symbols, part_left_);
    if (!last) return;
    for (next_part(); !ended_; next_part()) decode_part(tables, table_of_symbol, symbols, part_left_);
}

void RansDecoder::begin(size_t count, bool last) {
    if (last_begun_) throw Failure(EC_INVALID_ARGUMENT, "a step follows the last one");
    lane_ = 0;
    part_left_ = count;
    if (!last) return;
    last_begun_ = true;
    if (tail8_ > count || tail2_ > count - tail8_) fail("ramps down over more symbols than there are", 0);
    part_left_ = count - tail8_ - tail2_;
}

// Moves from the current part, whose symbols are decoded, to the next part of the ramp, or to the end.
void RansDecoder::next_part() {
    if (!last_begun_ || ended_) throw Failure(EC_INVALID_ARGUMENT, "a step has more symbols than it began with");
    if (ramp_begun_) {
        check_leftover_words();
    } else {
        words_size_ = static_cast<size_t>(state_.words - stream_.data()) - kSidePadding;
        ramp_begun_ = true;
    }
    lane_ = 0;
    if (lanes_ > 8) {
        narrow(8);
        part_left_ = tail8_;
    } else if (lanes_ > 2) {
        narrow(2);
        part_left_ = tail2_;
    } else {
        ended_ = true;
    }
}

void RansDecoder::decode(const CodingTables &tables, const uint8_t *table_of_symbol, int16_t *symbols, size_t count,
                         bool last) {
    decode_step(tables.view(), table_of_symbol, symbols, count, last);
}

void RansDecoder::decode(const CodingTables &tables, const uint16_t *table_of_symbol, int16_t *symbols, size_t count,
                         bool last) {
    decode_step(tables.view(), table_of_symbol, symbols, count, last);
}

// Retires the lanes from `lanes` on: their states become the words of the next part.
void RansDecoder::narrow(unsigned lanes) {
    std::memset(ramp_words_, 0, sizeof ramp_words_);
    for (unsigned lane = lanes; lane < lanes_; ++lane) {
        const uint32_t state = state_.lane[lane];
        if (state >> 16 != 1) fail("does not end in its start states", payload_size_);
        ramp_words_[2 * (lane - lanes)] = static_cast<uint8_t>(state & 255);
        ramp_words_[2 * (lane - lanes) + 1] = static_cast<uint8_t>(state >> 8 & 255);
    }
    state_.words = ramp_words_;
    state_.words_end = ramp_words_ + 2 * (lanes_ - lanes);
    lanes_ = lanes;
}

void RansDecoder::check_leftover_words() const {
    for (const uint8_t *byte = state_.words; byte < state_.words_end; ++byte) {
        if (*byte != 0) fail("leaves words unread", payload_size_);
    }
}

uint32_t RansDecoder::finish() {
    if (!last_begun_) begin(0, true);
    while (!ended_) next_part();

    const size_t side_size = static_cast<size_t>((state_.side_position + 7) / 8);
    if (words_size_ + side_size != stream_size_) {
        fail("has words and side bits that overlap or leave a gap", payload_size_ - stream_size_ + words_size_);
    }
    if ((state_.side_position & 7) != 0 && *(state_.side_end - side_size) >> (state_.side_position & 7) != 0) {
        fail("has filling bits that are not zero", payload_size_ - side_size);
    }
    if (state_.lane[0] >> 16 != 1 || state_.lane[1] >> 16 != 1) fail("does not end in its start states", payload_size_);
    return (state_.lane[0] & 65535) | state_.lane[1] << 16;
}

}  // namespace edgecodec
