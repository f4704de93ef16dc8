// The parser of an entropy model's steps (docs/format.md, section 3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "model/step.h"
#include "model/tensors.h"
#include "nets/integer_net.h"
#include "rans/coding_tables.h"
#include "support/byte_reader.h"

namespace edgecodec {

// The parts of a model that its steps refer to. They do not move in memory once the steps are parsed.
struct ModelParts {
    uint32_t alignment;
    std::vector<ModelTensor> tensors;
    std::vector<CodingTables> table_sets;
    std::vector<IntegerNet> nets;
};

// Reads steps, and proves for each that all its references exist and that no picture can make it leave its buffers or
// its number ranges. Every function throws Failure(EC_BAD_MODEL).
class StepReader {
public:
    static constexpr size_t kNoTensor = 65535;

    StepReader(ByteReader &bytes, const ModelParts &parts);

    ByteReader &bytes;
    const ModelParts &parts;

    std::unique_ptr<EntropyStep> read_step();

    // Read the next reference in the bytes.
    size_t read_source();  // values that a step before this one defined
    size_t read_new();     // values that this step defines
    size_t read_coded();   // the same, and they are an encoder latent
    std::optional<size_t> read_optional_source();
    size_t read_target();  // an encoder latent that no step defines
    const CodingTables &read_table_set();
    const IntegerNet &read_net();
    Interval read_bounds();

    // Check a reference that has been read already.
    // This step defines the tensor.
    void require_new(size_t tensor, bool holds_indices) const;
    // This step defines the tensor, which is an encoder latent.
    void require_coded(size_t tensor);
    // This step defines the tensor, which an encoder fills with the prefix lengths of `whole`; a later step codes
    // `whole`.
    void require_prefix(size_t tensor, size_t whole);
    // The tensor holds an index into `tables` for every value of `coded`.
    void require_indices(size_t tensor, size_t coded, const CodingTables &tables);

    void define(size_t tensor, Interval bounds);
    // Notes that `tensor` is coded with these limits. A tensor with prefix lengths must be coded with them as limits.
    void note_limits(size_t limits, size_t tensor);
    Interval bounds(size_t tensor) const { return known_[tensor].bounds; }
    const ModelTensor &shape(size_t tensor) const { return parts.tensors[tensor]; }
    bool same_shape(size_t one, size_t other) const;
    [[noreturn]] void fail(const char *problem) const { bytes.fail(problem); }

    // After the last step.
    void check_end() const;
    const std::vector<size_t> &encoder_latents() const { return encoder_latents_; }
    size_t defined_by(size_t step) const { return defined_by_[step]; }
    // The last step that reads a tensor; 0, the first step, which reads none, for a tensor that no step reads.
    size_t last_reader(size_t tensor) const { return known_[tensor].last_reader; }

private:
    void require_type(size_t tensor, bool holds_indices) const;
    void add_encoder_latent(size_t tensor);

    struct Knowledge {
        bool defined = false, target = false, encoder_latent = false, awaits_limits = false;
        Interval bounds = {};
        size_t last_reader = 0;
        size_t prefix = kNoTensor;  // its prefix lengths
    };
    std::vector<Knowledge> known_;
    std::vector<size_t> encoder_latents_;
    std::vector<size_t> defined_by_;
};

// One for each kind of step.
std::unique_ptr<EntropyStep> read_code_step(StepReader &reader);
std::unique_ptr<EntropyStep> read_affine_step(StepReader &reader);
std::unique_ptr<EntropyStep> read_net_step(StepReader &reader);
std::unique_ptr<EntropyStep> read_concat_step(StepReader &reader);
std::unique_ptr<EntropyStep> read_add_step(StepReader &reader);
std::unique_ptr<EntropyStep> read_residual_step(StepReader &reader);
std::unique_ptr<EntropyStep> read_context_step(StepReader &reader);
std::unique_ptr<EntropyStep> read_mixture_step(StepReader &reader);
std::unique_ptr<EntropyStep> read_labels_step(StepReader &reader);

}  // namespace edgecodec
