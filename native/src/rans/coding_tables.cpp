#include "rans/coding_tables.h"

#include <algorithm>

namespace edgecodec {
namespace {

// A rung counts as likely while the ranks from it on have more probability than this. One rung too many costs less than
// one too few, which the kernels notice late. Measured: speed has a flat optimum around this value.
constexpr unsigned kUnlikely = kProbabilitySum / 24;

}  // namespace

CodingTables CodingTables::parse(ByteReader &reader) {
    CodingTables tables;
    const unsigned count = reader.u16();
    if (count == 0) reader.fail("holds a table set without tables");
    for (unsigned i = 0; i < count; ++i) tables.parse_table(reader);
    tables.build_ladder();
    return tables;
}

void CodingTables::parse_table(ByteReader &reader) {
    const unsigned rank_count = reader.u8();
    if (rank_count < 2 || rank_count > kMaxRanks) reader.fail("holds a coding table without 2 to 64 ranks");
    TableShape shape;
    shape.escape = static_cast<uint8_t>(rank_count - 1);
    shape.raw_bits = reader.u8();
    if (shape.raw_bits > kMaxRawBits) reader.fail("holds a coding table with more than 12 raw bits");
    shape.sign = reader.i8();
    if (shape.sign != 1 && shape.sign != -1) reader.fail("holds a coding table whose sign is not 1 or -1");
    if (reader.u8() != 0) reader.fail("holds a coding table whose reserved byte is not zero");
    shape.mode = reader.i16();

    RankEntry ranks[kMaxRanks] = {};
    uint32_t start = 0;
    for (unsigned rank = 0; rank < rank_count; ++rank) {
        const uint16_t frequency = reader.u16();
        if (frequency == 0 || frequency > kProbabilitySum - start) {
            reader.fail("holds a coding table whose frequencies do not sum to 16384");
        }
        const int32_t value = shape.mode + shape.sign * unzigzag(rank);
        const bool special = rank == shape.escape || shape.raw_bits > 0 || value < INT16_MIN || value > INT16_MAX;
        ranks[rank] = {static_cast<uint16_t>(start), frequency, static_cast<int16_t>(special ? 0 : value),
                       static_cast<uint8_t>(rank), special};
        start += frequency;
    }
    if (start != kProbabilitySum) reader.fail("holds a coding table whose frequencies do not sum to 16384");

    for (uint32_t bucket = 0, rank = 0; bucket < 1u << kBucketBits; ++bucket) {
        const uint32_t slot = bucket << (kProbabilityBits - kBucketBits);
        while (slot - ranks[rank].start >= ranks[rank].frequency) ++rank;
        buckets_.push_back(ranks[rank]);
    }
    ranks_.insert(ranks_.end(), ranks, ranks + kMaxRanks);
    likeliest_.push_back({ranks[0].special ? uint16_t{0} : ranks[0].frequency, ranks[0].value});
    shapes_.push_back(shape);
}

void CodingTables::build_ladder() {
    // The ladder finds ranks and no values, so it only serves tables that are centred on zero, such as those of
    // residuals.
    const auto centred = [](const TableShape &shape) { return shape.mode == 0 && shape.sign == 1; };
    if (size() > kLadderTables || !std::all_of(shapes_.begin(), shapes_.end(), centred)) return;

    ladder_.resize(kLadderRows * kLadderTables, 0x7fff);
    likely_rungs_.resize(kLadderTables);
    raw_bits_.resize(kLadderTables);
    escapes_.resize(kLadderTables);
    smallest_escape_ = kMaxRanks;
    first_raw_ = static_cast<uint8_t>(size());
    for (size_t table = size(); table-- > 0;) {
        const TableShape &shape = shapes_[table];
        escapes_[table] = shape.escape;
        smallest_escape_ = std::min(smallest_escape_, shape.escape);
        raw_bits_[table] = shape.raw_bits;
        if (shape.raw_bits > 0) first_raw_ = static_cast<uint8_t>(table);
        for (uint8_t rank = 0; rank <= shape.escape; ++rank) {
            const RankEntry &entry = ranks_[table * kMaxRanks + rank];
            ladder_[rank * kLadderTables + table] = static_cast<uint16_t>(entry.start + entry.frequency);
            if (kProbabilitySum - entry.start > kUnlikely) likely_rungs_[table] = rank;
        }
    }
    for (const uint16_t threshold : ladder_) {
        ladder_low_.push_back(static_cast<uint8_t>(threshold & 255));
        ladder_high_.push_back(static_cast<uint8_t>(threshold >> 8));
    }
}

TableSetView CodingTables::view() const {
    TableSetView view = {};
    view.buckets = buckets_.data();
    view.ranks = ranks_.data();
    view.likeliest = likeliest_.data();
    view.shapes = shapes_.data();
    if (!ladder_.empty()) {
        view.ladder = ladder_.data();
        view.ladder_low = ladder_low_.data();
        view.ladder_high = ladder_high_.data();
        view.likely_rungs = likely_rungs_.data();
        view.raw_bits = raw_bits_.data();
        view.escapes = escapes_.data();
    }
    view.smallest_escape = smallest_escape_;
    view.first_raw = first_raw_;
    return view;
}

}  // namespace edgecodec
