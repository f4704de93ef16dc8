#include "model/step_reader.h"

namespace edgecodec {

StepReader::StepReader(ByteReader &bytes, const ModelParts &parts)
    : bytes(bytes), parts(parts), known_(parts.tensors.size()) {}

std::unique_ptr<EntropyStep> StepReader::read_step() {
    constexpr std::unique_ptr<EntropyStep> (*kKinds[])(StepReader &) = {
        read_code_step,     read_affine_step,  read_net_step,     read_concat_step, read_add_step,
        read_residual_step, read_context_step, read_mixture_step, read_labels_step};
    const size_t kind = bytes.u8();
    if (kind >= sizeof kKinds / sizeof *kKinds) fail("has a step of an unknown kind");
    return kKinds[kind](*this);
}

void StepReader::require_type(size_t tensor, bool holds_indices) const {
    if (tensor >= parts.tensors.size() || parts.tensors[tensor].holds_indices != holds_indices) {
        fail("has a step that names a tensor which is not there, or is of another type");
    }
}

void StepReader::require_new(size_t tensor, bool holds_indices) const {
    require_type(tensor, holds_indices);
    if (known_[tensor].defined || known_[tensor].encoder_latent) {
        fail("has a step whose result is not a tensor yet to be defined");
    }
}

void StepReader::require_indices(size_t tensor, size_t coded, const CodingTables &tables) {
    require_type(tensor, true);
    if (!known_[tensor].defined || !same_shape(tensor, coded)) fail("codes a tensor with indices of another shape");
    if (static_cast<size_t>(known_[tensor].bounds.high) >= tables.size()) fail("has indices that name no table");
    known_[tensor].last_reader = defined_by_.size();
}

size_t StepReader::read_source() {
    const size_t tensor = bytes.u16();
    require_type(tensor, false);
    if (!known_[tensor].defined) fail("has a step that reads values which are not there");
    known_[tensor].last_reader = defined_by_.size();
    return tensor;
}

size_t StepReader::read_new() {
    const size_t tensor = bytes.u16();
    require_new(tensor, false);
    return tensor;
}

size_t StepReader::read_coded() {
    const size_t tensor = bytes.u16();
    require_coded(tensor);
    return tensor;
}

std::optional<size_t> StepReader::read_optional_source() {
    ByteReader ahead = bytes;
    if (ahead.u16() != kNoTensor) return read_source();
    bytes = ahead;
    return std::nullopt;
}

void StepReader::require_coded(size_t tensor) {
    require_type(tensor, false);
    if (known_[tensor].defined || known_[tensor].target) {
        fail("has a step whose result is not a tensor yet to be defined");
    }
    add_encoder_latent(tensor);
}

void StepReader::require_prefix(size_t tensor, size_t whole) {
    require_new(tensor, false);
    require_coded(whole);
    if (shape(tensor).channels != 1 || shape(tensor).stride != shape(whole).stride || tensor == whole) {
        fail("has prefix lengths of another shape");
    }
    if (known_[whole].prefix != kNoTensor) fail("has two prefix lengths of one tensor");
    known_[whole].prefix = tensor;
    known_[whole].awaits_limits = true;
}

size_t StepReader::read_target() {
    const size_t tensor = bytes.u16();
    require_type(tensor, false);
    Knowledge &known = known_[tensor];
    if (known.defined || (known.encoder_latent && !known.target)) fail("rounds towards a tensor that a step defines");
    known.target = true;
    add_encoder_latent(tensor);
    return tensor;
}

const CodingTables &StepReader::read_table_set() {
    const size_t set = bytes.u16();
    if (set >= parts.table_sets.size()) fail("codes with a table set that is not there");
    return parts.table_sets[set];
}

const IntegerNet &StepReader::read_net() {
    const size_t net = bytes.u16();
    if (net >= parts.nets.size()) fail("runs a net that is not there");
    return parts.nets[net];
}

Interval StepReader::read_bounds() {
    Interval bounds;
    bounds.low = bytes.i16();
    bounds.high = bytes.i16();
    if (bounds.low > bounds.high) fail("has bounds in the wrong order");
    return bounds;
}

void StepReader::add_encoder_latent(size_t tensor) {
    if (known_[tensor].encoder_latent) return;
    known_[tensor].encoder_latent = true;
    encoder_latents_.push_back(tensor);
}

void StepReader::define(size_t tensor, Interval bounds) {
    known_[tensor].defined = true;
    known_[tensor].bounds = bounds;
    defined_by_.push_back(tensor);
}

void StepReader::note_limits(size_t limits, size_t tensor) {
    if (known_[tensor].prefix == limits) known_[tensor].awaits_limits = false;
}

bool StepReader::same_shape(size_t one, size_t other) const {
    return shape(one).channels == shape(other).channels && shape(one).stride == shape(other).stride;
}

void StepReader::check_end() const {
    bool gives = false;
    for (size_t tensor = 0; tensor < known_.size(); ++tensor) {
        if (known_[tensor].awaits_limits) fail("has the prefix lengths of a tensor that is not coded with them");
        if (!parts.tensors[tensor].decoder_latent) continue;
        if (!known_[tensor].defined || parts.tensors[tensor].holds_indices) {
            fail("declares a decoder latent that no step defines");
        }
        gives = true;
    }
    if (!gives) fail("defines no decoder latent");
}

}  // namespace edgecodec
