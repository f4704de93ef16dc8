// Arbitrary bytes as index.bin. Each is refused with a status, a message and a byte, or described: every text, number and
// reference of the description is there.
#include <cmath>
#include <cstring>
#include <vector>

#include "fuzzing.h"

namespace {

// A sum over all that a description points to, so that the sanitizer sees every byte read.
class Walk {
public:
    size_t sum = 0;

    void text(const char *text) {
        require(text != nullptr);
        sum += std::strlen(text);
    }
    void numbers(const double *values, size_t count) {
        for (size_t i = 0; i < count; ++i) require(std::isfinite(values[i]));
        sum += count;
    }
    template <class Value, class Visit>
    void list(const Value *const *values, size_t count, Visit visit) {
        for (size_t i = 0; i < count; ++i) visit(*values[i]);
        sum += count;
    }

    void latent(const ec_latent &latent) {
        text(latent.name);
        require(latent.channels > 0 && latent.stride > 0 && latent.source <= EC_MASK);
        require((latent.source == EC_LABELS) == (latent.class_count > 0));
        for (size_t i = 0; i < latent.class_count; ++i) text(latent.classes[i]);
    }
    void model(const ec_model &model) {
        text(model.file);
        require(model.alignment % model.padding_alignment == 0);
        require(model.noise_channels == 0 || model.alignment % model.noise_stride == 0);
        require(model.encoder_latent_count > 0 && model.decoder_latent_count > 0);
        list(model.encoder_latents, model.encoder_latent_count, [&](const ec_latent &each) { latent(each); });
        list(model.decoder_latents, model.decoder_latent_count, [&](const ec_latent &each) { latent(each); });
    }
    void knob(const ec_knob &knob) {
        text(knob.name);
        text(knob.help);
        numbers(knob.values, knob.value_count);
        numbers(knob.fit, knob.fit_count);
        require(knob.low <= knob.default_value && knob.default_value <= knob.high);
    }
    void ports(const ec_bundle_info &info, const ec_graph &graph, const ec_port *const *ports, size_t count) {
        const ec_model &model = *info.models[graph.model];
        require(count > 0);
        list(ports, count, [&](const ec_port &port) {
            text(port.name);
            require(port.role != EC_KNOB || port.index < info.knob_count);
            require(port.role != EC_LATENT ||
                    port.index < (graph.side == EC_ENCODE ? model.encoder_latent_count : model.decoder_latent_count));
        });
    }
    void graph(const ec_bundle_info &info, const ec_graph &graph) {
        text(graph.file);
        text(graph.precision);
        require(graph.model < info.model_count && info.graphs[graph.number] == &graph);
        for (size_t i = 0; i < graph.knob_count; ++i) text(graph.knobs[i].name);
        ports(info, graph, graph.inputs, graph.input_count);
        ports(info, graph, graph.outputs, graph.output_count);
        if (graph.not_tiled != nullptr) text(graph.not_tiled);
    }
    void whole(const ec_bundle_info &info) {
        require(info.schema == 2 && info.file_count > 0 && info.model_count > 0 && info.graph_count > 0);
        text(info.family);
        text(info.preset);
        list(info.files, info.file_count, [&](const ec_bundle_file &file) { text(file.name); });
        list(info.models, info.model_count, [&](const ec_model &each) { model(each); });
        list(info.knobs, info.knob_count, [&](const ec_knob &each) { knob(each); });
        list(info.graphs, info.graph_count, [&](const ec_graph &each) { graph(info, each); });
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    // A copy of exactly this size, which is gone when the description is read: nothing in it may point there.
    std::vector<uint8_t> file(data, data + size);
    ec_core_index *index = nullptr;
    ec_error error;
    const ec_status status = checked(ec_core_index_open(file.data(), file.size(), &index, &error));
    if (status != EC_OK) {
        require(status == EC_NOT_A_BUNDLE || status == EC_VERSION);
        require(index == nullptr && error.message[0] != '\0');
        require(error.offset >= -1 && error.offset <= static_cast<int64_t>(size));
        return 0;
    }
    file = {};
    ec_bundle_info info;
    require(ec_core_index_describe(index, &info, nullptr) == EC_OK);
    Walk walk;
    walk.whole(info);
    require(walk.sum > 0);
    ec_core_index_close(index);
    return 0;
}
