#include "runtime/codec.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

#include "onnxruntime/engine.h"
#include "runtime/limits.h"
#include "support/caller_struct.h"
#include "support/status.h"

namespace edgecodec {

namespace {

constexpr uint32_t kMaxThreads = 256;  // more than help, and no more than every system starts

unsigned usable_processors() {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<unsigned>(std::max(CPU_COUNT(&set), 1));
#endif
    return std::max(std::thread::hardware_concurrency(), 1u);
}

std::vector<const ec_graph *> decoders_of(const ec_bundle_info &info, const char *precision) {
    std::vector<const ec_graph *> decoders;
    for (uint32_t model = 0; model < info.model_count; ++model) {
        const std::vector<const ec_graph *> some = graphs_of(info, EC_DECODE, model, precision);
        decoders.insert(decoders.end(), some.begin(), some.end());
    }
    return decoders;
}

bool has_precision(const ec_bundle_info &info, ec_side side, const char *precision) {
    return std::any_of(info.graphs, info.graphs + info.graph_count, [&](const ec_graph *graph) {
        return graph->side == side && std::strcmp(graph->precision, precision) == 0;
    });
}

// Encoders are fp32 unless the caller names another precision, because it may change what is coded.
std::vector<const ec_graph *> encoders_of(const ec_bundle_info &info, const char *precision) {
    std::vector<const ec_graph *> encoders;
    const bool any = std::any_of(info.graphs, info.graphs + info.graph_count,
                                 [](const ec_graph *graph) { return graph->side == EC_ENCODE; });
    if (!any) return encoders;
    if (precision == nullptr && has_precision(info, EC_ENCODE, "fp32")) precision = "fp32";
    for (uint32_t model = 0; model < info.model_count; ++model) {
        const std::vector<const ec_graph *> some = graphs_of(info, EC_ENCODE, model, precision);
        encoders.insert(encoders.end(), some.begin(), some.end());
    }
    return encoders;
}

}  // namespace

Codec::Codec(const Bundle &bundle, const ec_codec_options &options)
    : bundle_(bundle),
      limits_(with_defaults(options.limits)),
      tile_{options.tile, options.max_memory},
      threads_(options.threads != 0 ? options.threads : std::min(usable_processors(), kMaxThreads)),
      allocator_(options.allocator),
      asked_(knob_values(options.knobs, options.knob_count)) {
    if (options.threads > kMaxThreads) {
        throw Failure(EC_INVALID_ARGUMENT, "threads is " + std::to_string(options.threads))
            .advising("give 1 to " + std::to_string(kMaxThreads));
    }
    if ((allocator_.allocate == nullptr) != (allocator_.release == nullptr)) {
        throw Failure(EC_INVALID_ARGUMENT, "the allocator has one function of two");
    }
    decoders_ = decoders_of(info(), options.precision);
    decoder_knobs({});
    encoders_ = encoders_of(info(), options.encode_precision);
    // A broken entropy model is told at once. Of several, only those that files ask for are opened.
    if (info().model_count == 1) bundle.entropy_model(0);
    open_engine(options);
}

Codec::~Codec() = default;

void Codec::open_engine(const ec_codec_options &options) {
    if (options.engine_table != nullptr) {
        engine_ = from_caller(options.engine_table, "engine_table");
        if (engine_.load == nullptr || engine_.run == nullptr) {
            throw Failure(EC_INVALID_ARGUMENT, "the engine table has no load or no run");
        }
    } else {
        const std::string name = options.engine != nullptr ? options.engine : "onnxruntime";
        if (name == EC_NO_ENGINE) return;
        onnxruntime_ = open_onnxruntime(
            {name.c_str(), options.onnxruntime_library, options.provider_library, options.provider_device});
        engine_ = onnxruntime_->table();
    }
    graphs_ = std::make_unique<LoadedGraphs>(bundle_, engine_, options.threads);
}

KnobValues Codec::decoder_knobs(const KnobValues &of_picture) const {
    KnobValues asked = of_picture;
    asked.insert(asked_.begin(), asked_.end());
    check_known(info(), EC_DECODE, asked);
    choose_graph(info(), decoders_, asked, true);
    return asked;
}

bool Codec::decoders_differ_in_quality() const { return !baked_values(decoders_, info(), QUALITY).empty(); }

const ec_graph &Codec::decoder(uint32_t model, const ec_file_info &file, const KnobValues &asked) const {
    std::vector<const ec_graph *> graphs;
    std::copy_if(decoders_.begin(), decoders_.end(), std::back_inserter(graphs),
                 [&](const ec_graph *graph) { return graph->model == model; });
    KnobValues knobs = asked;
    if (!baked_values(graphs, info(), QUALITY).empty()) {
        if (file.has_quality == 0) {
            throw Failure(EC_KNOB_UNAVAILABLE, "the file does not say of which quality it is")
                .advising("encode it again");
        }
        knobs[QUALITY] = file.quality;
    }
    return choose_graph(info(), graphs, knobs);
}

const ec_graph &Codec::encoder(const KnobValues &asked) const {
    if (encoders_.empty()) {
        throw Failure(EC_KNOB_UNAVAILABLE, "the bundle holds no encoder")
            .at(bundle_.path())
            .advising("export it with one");
    }
    check_known(info(), EC_ENCODE, asked);
    return choose_graph(info(), encoders_, asked);
}

std::vector<ec_shape_range> Codec::shapes(uint32_t graph) const {
    const std::lock_guard<std::mutex> lock(setting_shapes_);
    const auto found = shapes_.find(graph);
    return found != shapes_.end() ? found->second : std::vector<ec_shape_range>{};
}

void Codec::set_shapes(uint32_t graph, std::vector<ec_shape_range> shapes) {
    const std::lock_guard<std::mutex> lock(setting_shapes_);
    shapes_[graph] = std::move(shapes);
}

uint8_t *Codec::allocate(size_t bytes) const {
    void *memory = allocator_.allocate != nullptr ? allocator_.allocate(allocator_.context, bytes)
                                                  : std::malloc(std::max<size_t>(bytes, 1));
    if (memory == nullptr) throw Failure(EC_NO_MEMORY, "no memory for " + std::to_string(bytes) + " bytes of results");
    return static_cast<uint8_t *>(memory);
}

void Codec::release(uint8_t *memory) const {
    if (memory == nullptr) return;
    if (allocator_.release != nullptr) {
        allocator_.release(allocator_.context, memory);
    } else {
        std::free(memory);
    }
}

void Codec::cancel() {
    cancellations_.fetch_add(1, std::memory_order_relaxed);
    if (graphs_ != nullptr) graphs_->cancel();
}

}  // namespace edgecodec
