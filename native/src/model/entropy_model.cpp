#include "model/entropy_model.h"

#include <algorithm>
#include <cstring>

#include "model/latent_digest.h"
#include "rans/decoder.h"
#include "rans/encoder.h"
#include "support/crc32.h"

namespace edgecodec {
namespace {

constexpr uint8_t kMagic[4] = {'E', 'C', 'E', 'M'};
constexpr uint32_t kLayoutVersion = 1;
constexpr uint32_t kMaxAlignment = 64;

// Per pixel of a padded picture: several times what the most expensive known model takes, which is CRDR at its published
// size. A model with more would make a small file take minutes or gigabytes.
constexpr uint64_t kMostBytes = 256;
constexpr uint64_t kMostMultiplications = uint64_t{1} << 20;
// Sides of pictures, in units of the alignment, for which cost is checked. Extents are linear in them, and the cost per
// pixel is largest for a picture of one unit, or for one of very many, of which this is near enough.
constexpr uint32_t kCheckedUnits[] = {1, 16};

constexpr uint64_t kWorkOfSymbol = 16;  // multiplications that take as long as coding a symbol

}  // namespace

EntropyModel::EntropyModel(const uint8_t *data, size_t size) : id_(crc32(data, size)) {
    ByteReader reader(data, size, EC_BAD_MODEL);
    if (std::memcmp(reader.bytes(4), kMagic, 4) != 0) reader.fail("is not an entropy model");
    if (reader.u16() != kLayoutVersion) throw Failure(EC_VERSION, "has a layout this version cannot read", 4);
    if (reader.u16() != 0) reader.fail("has a reserved field in use");

    parts_.alignment = reader.u32();
    if (parts_.alignment == 0 || parts_.alignment > kMaxAlignment) reader.fail("has an alignment out of range");
    const size_t tensors = reader.u16(), table_sets = reader.u16(), nets = reader.u16(), steps = reader.u16();
    read_tensors(reader, tensors);
    for (size_t i = 0; i < table_sets; ++i) parts_.table_sets.push_back(CodingTables::parse(reader));
    for (size_t i = 0; i < nets; ++i) parts_.nets.push_back(IntegerNet::parse(reader));
    read_steps(reader, steps);
}

void EntropyModel::read_tensors(ByteReader &reader, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        ModelTensor tensor;
        const uint8_t type = reader.u8(), decoder_latent = reader.u8();
        if (type > 1 || decoder_latent > 1) reader.fail("has a tensor of an unknown type");
        tensor.holds_indices = type == 1;
        tensor.decoder_latent = decoder_latent == 1;
        tensor.channels = reader.u16();
        tensor.stride = reader.u16();
        if (tensor.channels == 0 || tensor.stride == 0 || parts_.alignment % tensor.stride != 0) {
            reader.fail("has a tensor without channels or with a stride that does not divide the alignment");
        }
        const size_t length = reader.u8();
        const uint8_t *name = reader.bytes(length);
        const auto printable = [](uint8_t byte) { return byte >= ' ' && byte <= '~'; };
        if (!std::all_of(name, name + length, printable)) reader.fail("has a name that is not printable ASCII");
        tensor.name.assign(name, name + length);
        if (tensor.decoder_latent) decoder_latents_.push_back(i);
        parts_.tensors.push_back(std::move(tensor));
    }
}

void EntropyModel::read_steps(ByteReader &bytes, size_t count) {
    StepReader reader(bytes, parts_);
    bool codes = false;
    for (size_t i = 0; i < count; ++i) {
        steps_.push_back({reader.read_step(), 0, {}});
        steps_.back().tensor = reader.defined_by(i);
        if (!steps_.back().step->codes()) continue;
        codes = true;
        last_coding_step_ = i;
    }
    if (bytes.remaining() > 0) bytes.fail("goes on after its last step");
    if (!codes) bytes.fail("codes no tensor");
    if (!steps_[last_coding_step_].step->count_is_known()) {
        bytes.fail("ends in a step whose number of symbols is unknown");
    }
    reader.check_end();
    encoder_latents_ = reader.encoder_latents();
    release_after(reader);
    check_cost(bytes);
}

void EntropyModel::release_after(const StepReader &reader) {
    for (size_t i = 0; i < steps_.size(); ++i) {
        const size_t tensor = steps_[i].tensor;
        if (parts_.tensors[tensor].decoder_latent) continue;
        steps_[std::max(i, reader.last_reader(tensor))].released.push_back(tensor);
    }
}

Cost EntropyModel::cost(uint32_t width, uint32_t height) const {
    const Extents extents(parts_.tensors, parts_.alignment, width, height);
    // Values may be held in both orders; indices have one byte.
    const auto held_by = [&](size_t tensor) {
        return extents[tensor].values() * (parts_.tensors[tensor].holds_indices ? 1 : 2 * sizeof(int16_t));
    };
    Cost total;
    uint64_t held = 0;
    for (const Step &step : steps_) {
        held += held_by(step.tensor);
        Cost cost = step.step->cost(extents);
        cost.bytes += held;
        cost.multiplications += extents[step.tensor].values() * (step.step->codes() ? kWorkOfSymbol : 1);
        total.then(cost);
        for (const size_t tensor : step.released) held -= held_by(tensor);
    }
    return total;
}

void EntropyModel::check_cost(const ByteReader &reader) const {
    for (const uint32_t units : kCheckedUnits) {
        const uint32_t side = units * parts_.alignment;
        const uint64_t pixels = uint64_t{side} * side;
        Cost cost;
        try {
            cost = this->cost(side, side);
        } catch (const Failure &) {
            reader.fail("needs more memory than it may use even for small pictures");
        }
        if (cost.bytes > kMostBytes * pixels) reader.fail("needs too much memory for each pixel");
        if (cost.multiplications > kMostMultiplications * pixels) reader.fail("does too much work for each pixel");
    }
}

uint32_t EntropyModel::digest(Workspace &workspace) const {
    LatentDigest digest;
    for (const size_t tensor : decoder_latents_) {
        digest.add(workspace.planes(tensor), workspace.extent(tensor).values());
    }
    return digest.value();
}

void EntropyModel::decode(uint32_t width, uint32_t height, uint32_t lanes, const uint8_t *payload, size_t size,
                          int16_t *const *latents, unsigned threads) const {
    RansDecoder decoder(payload, size, lanes);
    Workspace workspace(parts_.tensors, parts_.alignment, width, height, threads);
    for (size_t i = 0; i < decoder_latents_.size(); ++i) workspace.place_planes(decoder_latents_[i], latents[i]);
    for (size_t i = 0; i < steps_.size(); ++i) {
        steps_[i].step->decode(workspace, decoder, i == last_coding_step_);
        for (const size_t tensor : steps_[i].released) workspace.release(tensor);
    }
    const uint32_t stored = decoder.finish();
    if (digest(workspace) != stored) {
        throw Failure(EC_LATENTS_DIFFER, "the decoded latents are not those that were encoded");
    }
}

void EntropyModel::encode_steps(Workspace &workspace, const int16_t *const *latents, RansEncoder &encoder) const {
    for (size_t i = 0; i < encoder_latents_.size(); ++i) workspace.lend_planes(encoder_latents_[i], latents[i]);
    for (const Step &step : steps_) {
        step.step->encode(workspace, encoder);
        for (const size_t tensor : step.released) workspace.release(tensor);
    }
}

std::vector<uint8_t> EntropyModel::encode(uint32_t width, uint32_t height, uint32_t &lanes,
                                          const int16_t *const *latents, unsigned threads) const {
    RansEncoder encoder;
    Workspace workspace(parts_.tensors, parts_.alignment, width, height, threads);
    encode_steps(workspace, latents, encoder);
    return encoder.finish(lanes, digest(workspace));
}

uint64_t EntropyModel::bits(uint32_t width, uint32_t height, const int16_t *const *latents, unsigned threads) const {
    RansEncoder encoder;
    Workspace workspace(parts_.tensors, parts_.alignment, width, height, threads);
    encode_steps(workspace, latents, encoder);
    return encoder.bits();
}

size_t EntropyModel::largest_payload(uint32_t width, uint32_t height) const {
    size_t bytes = 1024;  // states and tail lengths
    for (const Step &step : steps_) {
        if (step.step->codes()) bytes += extent(step.tensor, width, height).values() * step.step->largest_cost();
    }
    return bytes;
}

}  // namespace edgecodec
