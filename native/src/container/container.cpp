#include "container/container.h"

#include <algorithm>
#include <bitset>
#include <iterator>

#include "support/byte_reader.h"
#include "support/byte_writer.h"
#include "support/crc32.h"

namespace edgecodec {

namespace {

constexpr uint8_t kMagic[2] = {0xEC, 0xDC};
constexpr uint32_t kFormatVersion = 1;
constexpr uint32_t kMaxSide = 65535;
constexpr uint32_t kLanes[4] = {2, 8, 32, 64};
constexpr uint32_t kKnownTags[] = {1, 2, 3, kNoiseSeedTag};  // ICC, EXIF, XMP
constexpr uint32_t kFirstCriticalTag = 128;                  // from here on, an unknown tag must not be skipped
constexpr size_t kChecksumSize = 4;

bool is_known(uint32_t tag) {
    return std::find(std::begin(kKnownTags), std::end(kKnownTags), tag) != std::end(kKnownTags);
}

uint32_t side(ByteReader &reader) {
    const uint32_t pixels = reader.varint();
    if (pixels == 0 || pixels > kMaxSide) reader.fail("has a side out of range");
    return pixels;
}

void parse_sections(ByteReader &reader, ec_core_container &out) {
    std::bitset<256> seen;
    while (const uint32_t tag = reader.u8()) {
        if (tag >= kFirstCriticalTag && !is_known(tag)) {
            throw Failure(EC_VERSION, "needs a newer version to be understood",
                          static_cast<int64_t>(reader.position()) - 1);
        }
        if (seen[tag]) reader.fail("has a section twice");
        seen[tag] = true;
        const uint32_t size = reader.varint();
        const size_t offset = reader.position();
        reader.bytes(size);
        if (!is_known(tag)) continue;
        if (tag == kNoiseSeedTag && size != kNoiseSeedSize) reader.fail("has a noise seed that is not of 8 bytes");
        out.section_tag[out.section_count] = tag;
        out.section[out.section_count++] = {offset, size};
    }
    if (seen.none()) reader.fail("announces sections but has none");
}

}  // namespace

ec_core_container parse_container(const uint8_t *data, size_t size) {
    if (size < sizeof kMagic || !std::equal(kMagic, std::end(kMagic), data)) {
        throw Failure(EC_NOT_EDGC, "is not an edgecodec picture", 0);
    }
    if (size < sizeof kMagic + 1 + kChecksumSize) {
        throw Failure(EC_CORRUPT, "ends too early", static_cast<int64_t>(size));
    }
    const uint8_t head = data[2];
    ec_core_container out{};
    out.version = head & 7;
    if (out.version != kFormatVersion) throw Failure(EC_VERSION, "has a format version this library cannot read", 2);

    const size_t covered = size - kChecksumSize;
    ByteReader checksum(data + covered, kChecksumSize, EC_CORRUPT);
    if (checksum.u32() != crc32(data, covered)) {
        throw Failure(EC_CORRUPT, "is damaged or incomplete (checksum)", static_cast<int64_t>(covered));
    }
    ByteReader reader(data, covered, EC_CORRUPT);
    reader.bytes(sizeof kMagic + 1);
    out.lanes = kLanes[head >> 3 & 3];
    out.greyscale = head >> 5 & 1;
    out.has_quality = head >> 6 & 1;
    out.width = side(reader);
    out.height = side(reader);
    if (out.has_quality != 0) out.quality = reader.varint();
    out.model_id = reader.u32();
    if (head >> 7 != 0) parse_sections(reader, out);
    out.payload = {reader.position(), reader.remaining()};
    return out;
}

std::vector<uint8_t> write_container(const ec_core_container &head, const uint8_t *const *sections,
                                     const uint8_t *payload) {
    const uint32_t *lanes = std::find(kLanes, std::end(kLanes), head.lanes);
    if (lanes == std::end(kLanes)) throw Failure(EC_INVALID_ARGUMENT, "lanes must be 2, 8, 32 or 64");
    if (head.width == 0 || head.width > kMaxSide || head.height == 0 || head.height > kMaxSide) {
        throw Failure(EC_INVALID_ARGUMENT, "a side must be 1 to 65535 pixels");
    }
    if (head.section_count > std::size(kKnownTags)) throw Failure(EC_INVALID_ARGUMENT, "too many sections");

    std::vector<uint8_t> out(kMagic, std::end(kMagic));
    out.push_back(static_cast<uint8_t>(kFormatVersion | static_cast<uint32_t>(lanes - kLanes) << 3 |
                                       (head.greyscale != 0 ? 1u << 5 : 0) | (head.has_quality != 0 ? 1u << 6 : 0) |
                                       (head.section_count != 0 ? 1u << 7 : 0)));
    put_varint(out, head.width);
    put_varint(out, head.height);
    if (head.has_quality != 0) put_varint(out, head.quality);
    put_u32(out, head.model_id);
    for (uint32_t i = 0; i < head.section_count; ++i) {
        const uint32_t tag = head.section_tag[i];
        const uint64_t size = head.section[i].size;
        if (!is_known(tag) || size > UINT32_MAX ||
            std::find(head.section_tag, head.section_tag + i, tag) != head.section_tag + i) {
            throw Failure(EC_INVALID_ARGUMENT, "a section has an unknown tag, comes twice or is too large");
        }
        if (tag == kNoiseSeedTag && size != kNoiseSeedSize)
            throw Failure(EC_INVALID_ARGUMENT, "a noise seed is 8 bytes");
        out.push_back(static_cast<uint8_t>(tag));
        put_varint(out, static_cast<uint32_t>(size));
        out.insert(out.end(), sections[i], sections[i] + size);
    }
    if (head.section_count != 0) out.push_back(0);
    out.insert(out.end(), payload, payload + head.payload.size);
    put_u32(out, crc32(out.data(), out.size()));
    return out;
}

}  // namespace edgecodec
