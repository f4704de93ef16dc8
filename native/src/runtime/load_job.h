// A graph that is loaded before a picture needs it: a job without steps, so that it can be cancelled as others can.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "edgecodec/edgecodec.h"
#include "runtime/job.h"
#include "support/status.h"

namespace edgecodec {

class LoadJob final : public Job {
public:
    // Throws Failure(EC_INVALID_ARGUMENT) where there is no such graph.
    LoadJob(Codec &codec, uint32_t graph, bool low_memory) : Job(codec), number_(graph), low_memory_(low_memory) {
        if (codec.graphs() == nullptr) throw Failure(EC_INVALID_ARGUMENT, "the codec has no engine");
        if (graph >= codec.info().graph_count) {
            throw Failure(EC_INVALID_ARGUMENT, "there is no graph " + std::to_string(graph));
        }
    }
    ec_tensor latent(size_t) const override { throw Failure(EC_INVALID_ARGUMENT, "the job has no latents"); }

private:
    bool prepare() override {
        load(*codec_.info().graphs[number_], low_memory_);
        return false;
    }
    void take() override {}

    const uint32_t number_;
    const bool low_memory_;
};

}  // namespace edgecodec
