// An opened codec: a bundle, an engine or none, and what the caller chose for all pictures.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "bundle/bundle.h"
#include "edgecodec/edgecodec.h"
#include "runtime/knobs.h"
#include "runtime/loaded_graphs.h"
#include "runtime/windows.h"

namespace edgecodec {

class OnnxRuntimeEngine;

class Codec {
public:
    // Throws Failure: EC_INVALID_ARGUMENT, EC_KNOB_UNAVAILABLE, EC_ENGINE_UNAVAILABLE.
    Codec(const Bundle &bundle, const ec_codec_options &options);
    ~Codec();

    const Bundle &bundle() const { return bundle_; }
    const ec_bundle_info &info() const { return bundle_.info(); }
    const ec_model &model(uint32_t number) const { return *info().models[number]; }
    const ec_limits &limits() const { return limits_; }
    const TileChoice &tile() const { return tile_; }
    unsigned threads() const { return threads_; }

    // The codec's knobs, with those of a picture in their place. Throws where no decoder at all would suit them.
    KnobValues decoder_knobs(const KnobValues &of_picture) const;
    // The decoder for a file. Where decoders differ in quality, the file decides it.
    const ec_graph &decoder(uint32_t model, const ec_file_info &file, const KnobValues &asked) const;
    // The encoder for these knobs. Throws where there is none.
    const ec_graph &encoder(const KnobValues &asked) const;
    const std::vector<const ec_graph *> &encoders() const { return encoders_; }
    bool decoders_differ_in_quality() const;

    // NULL where the caller runs the engine.
    LoadedGraphs *graphs() { return graphs_.get(); }
    // The shapes that the caller's engine takes for a graph; none for all.
    std::vector<ec_shape_range> shapes(uint32_t graph) const;
    void set_shapes(uint32_t graph, std::vector<ec_shape_range> shapes);

    // Memory for results; `release` for what a failing call had allocated. Throws Failure(EC_NO_MEMORY).
    uint8_t *allocate(size_t bytes) const;
    void release(uint8_t *memory) const;

    void cancel();
    // Jobs remember it when they begin, and end where it has changed.
    uint64_t cancellations() const { return cancellations_.load(std::memory_order_relaxed); }

private:
    void open_engine(const ec_codec_options &options);

    const Bundle &bundle_;
    ec_limits limits_;
    TileChoice tile_;
    unsigned threads_;
    ec_allocator allocator_;
    KnobValues asked_;
    std::vector<const ec_graph *> encoders_, decoders_;
    ec_engine engine_{};
    std::unique_ptr<OnnxRuntimeEngine> onnxruntime_;
    std::unique_ptr<LoadedGraphs> graphs_;
    std::atomic<uint64_t> cancellations_{0};
    mutable std::mutex setting_shapes_;
    std::map<uint32_t, std::vector<ec_shape_range>> shapes_;
};

}  // namespace edgecodec

// The handle of the C interface.
struct ec_codec {
    ec_codec(const edgecodec::Bundle &bundle, const ec_codec_options &options) : codec(bundle, options) {}
    edgecodec::Codec codec;
};
