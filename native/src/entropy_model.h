// A frozen entropy model (docs/format.md, section 3): tables and integer nets, and the steps that turn a payload into
// latents with them. The steps are the same in both directions; only what a `code` step does differs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "byte_reader.h"
#include "coding_tables.h"
#include "integer_net.h"

namespace edgecodec {

struct ModelTensor {
    std::string name;
    uint32_t channels, stride;
    bool holds_indices;
};

// Symbols of one tensor; `indices` is a tensor of table indices, or absent for table c on channel c.
struct CodeStep {
    size_t tensor, tables;
    bool by_channel;
    size_t indices;
};

struct AffineStep {
    size_t destination, source;
    unsigned shift;
    std::vector<int32_t> offset;
    int16_t low, high;
};

struct NetStep {
    size_t destination, source, net;
};

struct ConcatStep {
    size_t destination;
    std::vector<size_t> sources;
};

struct AddStep {
    size_t destination, first, second;
    int32_t first_multiplier, second_multiplier;
    unsigned shift;
    int16_t low, high;
};

// A step that computes a tensor from others.
using Operation = std::variant<AffineStep, NetStep, ConcatStep, AddStep>;

class EntropyModel {
public:
    // Parses and proves the whole file: after this no picture can make the model leave its buffers or its number ranges.
    static EntropyModel parse(const uint8_t *data, size_t size);

    uint32_t id() const { return id_; }
    uint32_t alignment() const { return alignment_; }
    // The tensors that are in the file, in the order of the steps.
    const std::vector<size_t> &coded() const { return coded_; }
    const ModelTensor &tensor(size_t i) const { return tensors_[i]; }

    // Rows, columns and number of values of a tensor for a picture of width x height pixels.
    struct Extent {
        size_t rows, columns, values;
    };
    Extent extent(size_t tensor, uint32_t width, uint32_t height) const;

    // latents[i] is coded tensor i, (channels, rows, columns). Results do not depend on `threads`.
    void decode(uint32_t width, uint32_t height, uint32_t lanes, const uint8_t *payload, size_t size,
                int16_t *const *latents, unsigned threads) const;
    std::vector<uint8_t> encode(uint32_t width, uint32_t height, uint32_t &lanes, const int16_t *const *latents,
                                unsigned threads) const;
    // The table index of every symbol of coded tensor i, in (channels, rows, columns).
    void indices(uint32_t width, uint32_t height, const int16_t *const *latents, size_t i, uint8_t *out,
                 unsigned threads) const;

private:
    void parse_step(ByteReader &reader);
    void parse_code(ByteReader &reader);
    void parse_affine(ByteReader &reader);
    void parse_net(ByteReader &reader);
    void parse_concat(ByteReader &reader);
    void parse_add(ByteReader &reader);
    size_t source_values(ByteReader &reader);
    size_t new_tensor(ByteReader &reader, bool holds_indices);
    void require_new(const ByteReader &reader, size_t tensor, bool holds_indices) const;
    bool same_shape(size_t one, size_t other) const;

    struct Workspace;
    template <class Code>
    void walk(uint32_t width, uint32_t height, unsigned threads, const int16_t *const *latents, Code &&code) const;
    void apply(const AffineStep &step, Workspace &workspace) const;
    void apply(const NetStep &step, Workspace &workspace) const;
    void apply(const ConcatStep &step, Workspace &workspace) const;
    void apply(const AddStep &step, Workspace &workspace) const;

    uint32_t id_ = 0, alignment_ = 0;
    std::vector<ModelTensor> tensors_;
    std::vector<CodingTables> table_sets_;
    std::vector<IntegerNet> nets_;
    std::vector<std::variant<CodeStep, Operation>> steps_;
    std::vector<size_t> coded_;

    // What is known of a tensor after the steps so far.
    struct Knowledge {
        bool defined = false;
        Interval bounds{0, 0};
        size_t last_reader = 0;  // the last step that reads it, which is never the first
    };
    std::vector<Knowledge> known_;
};

}  // namespace edgecodec
