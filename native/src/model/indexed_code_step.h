// Codes a whole tensor with the coding table that an index names for each value. The steps *code* and *residual* share
// this.
#pragma once

#include "model/step.h"

namespace edgecodec {

class IndexedCodeStep : public EntropyStep {
public:
    IndexedCodeStep(size_t tensor, const CodingTables &tables, size_t indices)
        : tensor_(tensor), tables_(tables), indices_(indices) {}

    void decode(Workspace &workspace, RansDecoder &decoder, bool last) const final {
        int16_t *const planes = workspace.new_planes(tensor_);
        decoder.decode(tables_, workspace.indices(indices_), planes, workspace.extent(tensor_).values(), last);
    }

    void encode(Workspace &workspace, RansEncoder &encoder) const override {
        const size_t count = workspace.extent(tensor_).values();
        encoder.add(tables_, workspace.indices(indices_), workspace.planes(tensor_), count);
    }

protected:
    size_t tensor_;
    const CodingTables &tables_;
    size_t indices_;
};

}  // namespace edgecodec
