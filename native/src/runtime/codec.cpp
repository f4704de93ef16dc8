#include "runtime/codec.h"

#include <algorithm>
#include <cstdlib>

#include "onnxruntime/engine.h"
#include "onnxruntime/provider.h"
#include "runtime/limits.h"
#include "support/caller_struct.h"
#include "support/processors.h"
#include "support/status.h"

namespace edgecodec {

namespace {

constexpr char kSingle[] = "fp32";

// In which the engine decodes where the caller names no precision.
std::string preferred_precision(const ec_codec_options &options) {
    if (options.engine_table != nullptr) {
        const char *own = from_caller(options.engine_table, "engine_table").precision;
        return own != nullptr ? own : kSingle;
    }
    const std::string engine = options.engine != nullptr ? options.engine : "";
    return ort::is_gpu(engine.substr(engine.find(':') + 1)) ? "fp16" : kSingle;
}

// Of one side of a model, where the caller names none: the preferred one, else fp32, else that of the first graph. NULL
// where the model has no graphs of that side.
const char *default_precision(const ec_bundle_info &info, ec_side side, uint32_t model, const std::string &preferred) {
    const std::vector<const ec_graph *> graphs = graphs_of(info, side, model, nullptr);
    for (const std::string &wanted : {preferred, std::string(kSingle)}) {
        for (const ec_graph *graph : graphs) {
            if (graph->precision == wanted) return graph->precision;
        }
    }
    return graphs.empty() ? nullptr : graphs.front()->precision;
}

// The graphs of one side in the precision that the caller names; in the default of each model for NULL.
std::vector<const ec_graph *> graphs_in(const ec_bundle_info &info, ec_side side, const char *named,
                                        const std::string &preferred) {
    std::vector<const ec_graph *> graphs;
    for (uint32_t model = 0; model < info.model_count; ++model) {
        const char *precision = named != nullptr ? named : default_precision(info, side, model, preferred);
        const std::vector<const ec_graph *> some = graphs_of(info, side, model, precision);
        graphs.insert(graphs.end(), some.begin(), some.end());
    }
    return graphs;
}

}  // namespace

Codec::Codec(const Bundle &bundle, const ec_codec_options &options)
    : bundle_(bundle),
      limits_(with_defaults(options.limits)),
      tile_{options.tile, options.max_memory},
      threads_(options.threads != 0 ? options.threads : usable_processors()),
      allocator_(options.allocator),
      asked_(knob_values(options.knobs, options.knob_count)) {
    if (options.threads > kMaxThreads) {
        throw Failure(EC_INVALID_ARGUMENT, "threads is " + std::to_string(options.threads))
            .advising("give 1 to " + std::to_string(kMaxThreads));
    }
    if ((allocator_.allocate == nullptr) != (allocator_.release == nullptr)) {
        throw Failure(EC_INVALID_ARGUMENT, "the allocator has one function of two");
    }
    decoders_ = graphs_in(info(), EC_DECODE, options.precision, preferred_precision(options));
    decoder_knobs({});
    // On every engine, because another precision may change what is coded.
    encoders_ = graphs_in(info(), EC_ENCODE, options.encode_precision, kSingle);
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
    graphs_ = std::make_unique<LoadedGraphs>(bundle_, engine_, options.threads, options.one_shot);
}

KnobValues Codec::decoder_knobs(const KnobValues &of_picture) const {
    KnobValues asked = of_picture;
    asked.insert(asked_.begin(), asked_.end());
    check_known(info(), EC_DECODE, asked);
    choose_graph(info(), decoders_, asked, true);
    return asked;
}

bool Codec::decoders_differ_in_quality() const { return !baked_values(decoders_, QUALITY).empty(); }

const ec_graph &Codec::decoder(uint32_t model, const ec_file_info &file, const KnobValues &asked) const {
    std::vector<const ec_graph *> graphs;
    std::copy_if(decoders_.begin(), decoders_.end(), std::back_inserter(graphs),
                 [&](const ec_graph *graph) { return graph->model == model; });
    KnobValues knobs = asked;
    if (!baked_values(graphs, QUALITY).empty()) {
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
    if (graphs_ != nullptr) graphs_->cancel(nullptr);
}

}  // namespace edgecodec
