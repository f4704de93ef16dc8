// One step of an entropy model (docs/format.md, section 3), in both directions. Each kind is a file, step_*.cpp.
#pragma once

#include <cstddef>

#include "model/tensors.h"
#include "rans/decoder.h"
#include "rans/encoder.h"
#include "support/cost.h"

namespace edgecodec {

class EntropyStep {
public:
    virtual ~EntropyStep() = default;

    virtual void decode(Workspace &workspace, RansDecoder &decoder, bool last) const = 0;
    virtual void encode(Workspace &workspace, RansEncoder &encoder) const = 0;

    // Whether the step codes symbols, and whether their number is known before they are decoded.
    virtual bool codes() const { return true; }
    virtual bool count_is_known() const { return true; }
    // What the step takes besides the tensor that it defines. Throws Failure where a net could not run.
    virtual Cost cost(const Extents &) const { return {}; }
    // An upper bound on the bytes for one value of the step's tensor.
    virtual size_t largest_cost() const { return 5; }
};

// A step that computes a tensor from others, in the same way in both directions.
class Computation : public EntropyStep {
public:
    virtual void run(Workspace &workspace) const = 0;

    void decode(Workspace &workspace, RansDecoder &, bool) const final { run(workspace); }
    void encode(Workspace &workspace, RansEncoder &) const final { run(workspace); }
    bool codes() const final { return false; }
};

}  // namespace edgecodec
