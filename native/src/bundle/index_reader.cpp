#include "bundle/index_reader.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "bundle/field_reader.h"
#include "bundle/index.h"
#include "bundle/names.h"
#include "support/status.h"

namespace edgecodec {

namespace {

constexpr char kMagic[] = {'E', 'C', 'B', 'I'};
constexpr uint16_t kSchema = 2;

constexpr uint64_t kLargestSize = uint64_t{1} << 48;  // bytes of a file, and of memory for a pixel
constexpr uint32_t kLargestSide = 65535;              // pixels; also of channels and strides
constexpr uint32_t kMostClasses = 256;
constexpr uint32_t kMostCoefficients = 8;
constexpr double kLargestDecibels = 200;

// Coded pictures hold the value of this knob as a u32, in steps of 1/64.
constexpr char kQuality[] = "quality";
constexpr double kQualitySteps = 64;
constexpr double kLargestQuality = UINT32_MAX / kQualitySteps;

class IndexReader {
public:
    IndexReader(const uint8_t *data, size_t size, IndexStorage &out)
        : reader_(data, size), out_(out), files_(out.files.add()), models_(out.models.add()), knobs_(out.knobs.add()) {}

    void read() {
        reader_.bytes("magic", sizeof kMagic);
        read_schema();
        out_.info.schema = kSchema;
        out_.info.family = keep(reader_.text("family"));
        out_.info.preset = keep(reader_.text("preset"));
        for (size_t i = 0, count = reader_.within(reader_.u16("files"), 1, UINT16_MAX); i < count; ++i) read_file(i);
        for (size_t i = 0, count = reader_.within(reader_.u8("models"), 1, UINT8_MAX); i < count; ++i) read_model(i);
        for (size_t i = 0, count = reader_.u8("knobs"); i < count; ++i) read_knob(i);
        Lists<ec_graph>::List &graphs = out_.graphs.add();
        for (size_t i = 0, count = reader_.within(reader_.u16("graphs"), 1, UINT16_MAX); i < count; ++i) {
            read_graph(i, out_.graphs.add_to(graphs));
        }
        reader_.end();
        check_decoders(graphs);
        out_.info.files = files_.data();
        out_.info.file_count = files_.size();
        out_.info.models = models_.data();
        out_.info.model_count = models_.size();
        out_.info.knobs = knobs_.data();
        out_.info.knob_count = knobs_.size();
        out_.info.graphs = graphs.data();
        out_.info.graph_count = graphs.size();
    }

private:
    using Element = FieldReader::Element;
    using LatentList = Lists<ec_latent>::List;
    using PortList = Lists<ec_port>::List;

    const char *keep(std::string_view text) { return out_.keep(text); }

    void read_schema() {
        const uint16_t schema = reader_.u16("schema");
        if (schema == kSchema) return;
        throw Failure(EC_VERSION,
                      "is of schema " + std::to_string(schema) + ", this edgecodec reads " + std::to_string(kSchema))
            .advising(schema < kSchema ? "export it again" : "update edgecodec");
    }

    void read_file(size_t i) {
        const Element element(reader_, "files", i);
        ec_bundle_file &file = out_.files.add_to(files_);
        const std::string_view name = reader_.name("name");
        if (!is_path_inside(name)) reader_.fail("is not a path inside the bundle");
        file.name = keep(name);
        if (!out_.files_by_name.emplace(file.name, &file).second) reader_.fail("is that of another file too");
        file.size = reader_.within(reader_.u64("size"), 0, kLargestSize);
        std::memcpy(file.sha256, reader_.bytes("SHA-256", sizeof file.sha256), sizeof file.sha256);
    }

    const char *file_name(const char *field) { return files_[reader_.one_of(reader_.u16(field), files_.size())]->name; }

    uint16_t side(const char *field) { return reader_.within(reader_.u16(field), 1, kLargestSide); }

    // ---- models ----------------------------------------------------------------------------------------------------

    void read_model(size_t i) {
        const Element element(reader_, "models", i);
        const uint32_t id = reader_.u32("id");
        for (const ec_model *other : models_) {
            if (other->id == id) reader_.fail("is that of another model too");
        }
        ec_model &model = out_.models.add_to(models_);
        model.id = id;
        model.file = file_name("file");
        model.rate = reader_.f64("rate");
        model.alignment = side("alignment");
        model.padding_alignment = side("padding alignment");
        check_divides(model.padding_alignment, model.alignment);
        model.smallest_side = side("smallest side");
        model.padding = static_cast<ec_padding>(reader_.within(reader_.u8("padding"), EC_REFLECT, EC_GREY));
        read_noise(model);
        LatentList &encoder = out_.latents.add(), &decoder = out_.latents.add();
        read_latents("encoder latents", EC_ENCODE, encoder);
        read_latents("decoder latents", EC_DECODE, decoder);
        model.encoder_latents = encoder.data();
        model.encoder_latent_count = encoder.size();
        model.decoder_latents = decoder.data();
        model.decoder_latent_count = decoder.size();
    }

    void check_divides(uint32_t value, uint32_t alignment) const {
        if (alignment % value != 0) {
            reader_.fail("is " + std::to_string(value) + ", which does not divide the alignment " +
                         std::to_string(alignment));
        }
    }

    void read_noise(ec_model &model) {
        model.noise_channels = reader_.u16("channels of noise");
        model.noise_stride = reader_.u16("stride of noise");
        if (model.noise_channels == 0) {
            reader_.within(model.noise_stride, 0, 0);
        } else {
            check_divides(reader_.within(model.noise_stride, 1, kLargestSide), model.alignment);
        }
    }

    void read_latents(const char *list, ec_side side, LatentList &latents) {
        std::set<std::string_view> names;
        bool is_there[] = {false, false, false};  // by source
        for (size_t i = 0, count = reader_.within(reader_.u8(list), 1, UINT8_MAX); i < count; ++i) {
            const Element element(reader_, list, i);
            ec_latent &latent = out_.latents.add_to(latents);
            latent.name = keep(reader_.name("name"));
            if (!names.insert(latent.name).second) reader_.fail("is that of another latent too");
            latent.channels = this->side("channels");
            latent.stride = this->side("stride");
            if (side == EC_ENCODE) read_source(latent, is_there);
        }
    }

    void read_source(ec_latent &latent, bool (&is_there)[3]) {
        latent.source = static_cast<ec_source>(reader_.within(reader_.u8("source"), EC_FROM_GRAPH, EC_MASK));
        if (latent.source == EC_FROM_GRAPH) return;
        if (is_there[latent.source]) reader_.fail("is that of another latent too");
        is_there[latent.source] = true;
        if (latent.channels != 1 || (latent.source == EC_LABELS && latent.stride != 1)) {
            reader_.fail(std::string("cannot be ") + (latent.source == EC_LABELS ? "labels" : "a mask") +
                         ": the latent has " + std::to_string(latent.channels) + " channels, stride " +
                         std::to_string(latent.stride));
        }
        if (latent.source == EC_LABELS) read_classes(latent);
    }

    void read_classes(ec_latent &latent) {
        std::vector<const char *> &classes = out_.classes.emplace_back();
        const size_t count = reader_.within(reader_.u16("classes"), 1, kMostClasses);
        for (size_t i = 0; i < count; ++i) {
            const Element element(reader_, "classes", i);
            classes.push_back(keep(reader_.text("name")));
        }
        latent.classes = classes.data();
        latent.class_count = classes.size();
    }

    // ---- knobs -----------------------------------------------------------------------------------------------------

    ec_side read_side() { return static_cast<ec_side>(reader_.within(reader_.u8("side"), EC_ENCODE, EC_DECODE)); }

    void read_knob(size_t i) {
        const Element element(reader_, "knobs", i);
        const std::string_view name = reader_.name("name");
        if (!is_knob_name(name)) reader_.fail("is not made of a to z, digits and _, with a letter first");
        const ec_side side = read_side();
        for (const ec_knob *other : knobs_) {
            if (other->side == side && other->name == name) reader_.fail_element("has the name of another knob too");
        }
        ec_knob &knob = out_.knobs.add_to(knobs_);
        knob.name = keep(name);
        knob.side = side;
        knob.help = keep(reader_.text("help"));
        read_values(knob);
        knob.default_value = reader_.within(reader_.f64("default"), knob.low, knob.high);
        if (knob.value_count > 0) check_value(knob, knob.default_value);
        read_fit(knob);
    }

    void read_values(ec_knob &knob) {
        const size_t count = reader_.u16("values");
        std::vector<double> &values = out_.numbers.emplace_back();
        for (size_t i = 0; i < count; ++i) {
            const Element element(reader_, "values", i);
            const double value = reader_.f64("value");
            if (i > 0 && value <= values.back()) reader_.fail("is not above the value before it");
            check_quality(knob, value);
            values.push_back(value);
        }
        if (count > 0) {
            knob.low = values.front();
            knob.high = values.back();
        } else {
            knob.low = reader_.f64("low");
            knob.high = reader_.f64("high");
            if (knob.high < knob.low) reader_.fail("is below low");
        }
        knob.values = values.data();
        knob.value_count = values.size();
    }

    void check_quality(const ec_knob &knob, double value) const {
        if (std::strcmp(knob.name, kQuality) != 0) return;
        reader_.within(value, 0.0, kLargestQuality);
        if (std::fmod(value * kQualitySteps, 1) != 0) {
            reader_.fail("is " + general_text(value) + ", and coded pictures hold multiples of 1/64");
        }
    }

    // A value that was read last is one that the knob was baked at.
    void check_value(const ec_knob &knob, double value) const {
        if (!std::binary_search(knob.values, knob.values + knob.value_count, value)) {
            reader_.fail("is " + general_text(value) + ", which is not among the values of knob " + knob.name);
        }
    }

    void read_fit(ec_knob &knob) {
        const size_t count = reader_.within(reader_.u8("coefficients of the rate"), 0, kMostCoefficients);
        if (count == 0) return;
        if (knob.value_count > 0) reader_.fail("is " + std::to_string(count) + " for a knob that has values");
        std::vector<double> &coefficients = out_.numbers.emplace_back();
        for (size_t i = 0; i < count; ++i) {
            const Element element(reader_, "coefficients", i);
            coefficients.push_back(reader_.f64("value"));
        }
        knob.fit = coefficients.data();
        knob.fit_count = coefficients.size();
        knob.fit_low = reader_.f64("low of the rate");
        knob.fit_high = reader_.f64("high of the rate");
        if (knob.fit_high <= knob.fit_low) reader_.fail("is not above low");
        knob.fit_residual = reader_.f64("residual");
        if (knob.fit_residual < 0) reader_.fail("is " + general_text(knob.fit_residual) + ", below 0");
    }

    // ---- graphs ----------------------------------------------------------------------------------------------------

    void read_graph(size_t i, ec_graph &graph) {
        const Element element(reader_, "graphs", i);
        graph.number = static_cast<uint32_t>(i);
        graph.side = read_side();
        graph.model = static_cast<uint32_t>(reader_.one_of(reader_.u8("model"), models_.size()));
        graph.file = file_name("file");
        graph.precision = keep(reader_.name("precision"));
        read_baked_knobs(graph);
        PortList &inputs = out_.ports.add(), &outputs = out_.ports.add();
        read_ports("inputs", inputs, [&](ec_port &port) { read_input(graph, inputs, port); });
        check_inputs(graph, inputs);
        read_ports("outputs", outputs, [&](ec_port &port) { read_output(graph, outputs, port); });
        check_outputs(graph, outputs);
        graph.inputs = inputs.data();
        graph.input_count = inputs.size();
        graph.outputs = outputs.data();
        graph.output_count = outputs.size();
        graph.tolerance_levels = reader_.u8("tolerance in levels");
        graph.tolerance_db = reader_.within(reader_.f64("tolerance in dB"), 0.0, kLargestDecibels);
        if (reader_.within(reader_.u8("tiling"), 0, 1) == 1) {
            graph.halo_before = reader_.u16("halo before");
            graph.halo_after = reader_.u16("halo after");
        } else {
            graph.not_tiled = keep(reader_.text("reason"));
        }
        graph.bytes_per_pixel = reader_.within(reader_.f64("bytes a pixel"), 0.0, static_cast<double>(kLargestSize));
    }

    void read_baked_knobs(ec_graph &graph) {
        std::vector<ec_knob_value> &baked = out_.baked.emplace_back();
        std::vector<bool> is_there(knobs_.size());
        for (size_t i = 0, count = reader_.u8("knobs"); i < count; ++i) {
            const Element element(reader_, "knobs", i);
            const size_t number = reader_.one_of(reader_.u8("knob"), knobs_.size());
            const ec_knob &knob = *knobs_[number];
            if (is_there[number]) reader_.fail("is named twice");
            is_there[number] = true;
            if (knob.side != graph.side) reader_.fail("is a knob of the other side");
            const double value = reader_.f64("value");
            check_value(knob, value);
            baked.push_back({knob.name, value});
        }
        graph.knobs = baked.data();
        graph.knob_count = baked.size();
    }

    template <class Read>
    void read_ports(const char *list, PortList &ports, Read &&read_what_it_carries) {
        std::set<std::string_view> names;
        for (size_t i = 0, count = reader_.within(reader_.u8(list), 1, UINT8_MAX); i < count; ++i) {
            const Element element(reader_, list, i);
            ec_port port{};
            port.name = keep(reader_.name("name"));
            if (!names.insert(port.name).second) reader_.fail("is that of another one too");
            port.role = static_cast<ec_role>(reader_.within(reader_.u8("role"), EC_IMAGE, EC_NOISE));
            read_what_it_carries(port);
            out_.ports.add_to(ports) = port;
        }
    }

    // `before`: the inputs before this one.
    void read_input(const ec_graph &graph, const PortList &before, ec_port &port) {
        const ec_model &model = *models_[graph.model];
        const bool encodes = graph.side == EC_ENCODE;
        const bool belongs = encodes ? port.role == EC_IMAGE || port.role == EC_SIZE || port.role == EC_KNOB
                                     : port.role == EC_LATENT || (port.role == EC_NOISE && model.noise_channels > 0);
        if (!belongs) {
            reader_.fail("is " + std::to_string(port.role) + ", which this graph does not take");
        }
        const uint8_t number = reader_.u8("number");
        if (port.role == EC_LATENT) {
            reader_.one_of(number, model.decoder_latent_count);
            carry_latent(*model.decoder_latents[number], number, port);
        } else if (port.role == EC_KNOB) {
            const ec_knob &knob = *knobs_[reader_.one_of(number, knobs_.size())];
            if (knob.side != graph.side) reader_.fail("is a knob of the other side");
            if (knob.value_count > 0) reader_.fail("is a knob that has values");
            port.index = number;
            port.type = EC_FLOAT32;
        } else {
            carry_plainly(model, number, port);
        }
        check_new(before, port);
    }

    void read_output(const ec_graph &graph, const PortList &before, ec_port &port) {
        const ec_model &model = *models_[graph.model];
        if (port.role != (graph.side == EC_ENCODE ? EC_LATENT : EC_IMAGE)) {
            reader_.fail("is " + std::to_string(port.role) + ", which this graph does not give");
        }
        const uint8_t number = reader_.u8("number");
        if (port.role == EC_LATENT) {
            const ec_latent &latent = *model.encoder_latents[reader_.one_of(number, model.encoder_latent_count)];
            if (latent.source != EC_FROM_GRAPH) reader_.fail("is a latent that does not come from a graph");
            carry_latent(latent, number, port);
        } else {
            carry_plainly(model, number, port);
        }
        check_new(before, port);
    }

    static void carry_latent(const ec_latent &latent, uint8_t number, ec_port &port) {
        port.index = number;
        port.type = EC_FLOAT32;
        port.channels = latent.channels;
        port.stride = latent.stride;
    }

    // What there is one of.
    void carry_plainly(const ec_model &model, uint8_t number, ec_port &port) {
        reader_.within(number, 0, 0);
        if (port.role == EC_IMAGE) {
            port.type = EC_UINT8;
            port.channels = 3;
            port.stride = 1;
        } else if (port.role == EC_SIZE) {
            port.type = EC_INT64;
        } else {
            port.type = EC_FLOAT32;
            port.channels = model.noise_channels;
            port.stride = model.noise_stride;
        }
    }

    void check_new(const PortList &before, const ec_port &port) const {
        for (const ec_port *other : before) {
            if (other->role == port.role && other->index == port.index) reader_.fail("is that of another one too");
        }
    }

    static size_t count(const PortList &ports, ec_role role) {
        return static_cast<size_t>(
            std::count_if(ports.begin(), ports.end(), [&](const ec_port *port) { return port->role == role; }));
    }

    // Each is there at most once already.
    void check_inputs(const ec_graph &graph, const PortList &inputs) const {
        const ec_model &model = *models_[graph.model];
        if (graph.side == EC_DECODE) {
            if (count(inputs, EC_LATENT) < model.decoder_latent_count) {
                reader_.fail_element("has no input for some of the decoder latents");
            }
            return;
        }
        if (count(inputs, EC_IMAGE) == 0) reader_.fail_element("has no input for the image");
        if (model.padding == EC_GREY && count(inputs, EC_SIZE) == 0) {
            reader_.fail_element("has no input for the size, and only the graph can pad with grey");
        }
    }

    void check_outputs(const ec_graph &graph, const PortList &outputs) const {
        if (graph.side == EC_DECODE) return;  // one image, as it has an output
        const ec_model &model = *models_[graph.model];
        const auto made = std::count_if(model.encoder_latents, model.encoder_latents + model.encoder_latent_count,
                                        [](const ec_latent *latent) { return latent->source == EC_FROM_GRAPH; });
        if (outputs.size() < static_cast<size_t>(made)) {
            reader_.fail_element("has no output for some of the encoder latents");
        }
    }

    void check_decoders(const Lists<ec_graph>::List &graphs) const {
        for (size_t i = 0; i < models_.size(); ++i) {
            const bool is_there = std::any_of(graphs.begin(), graphs.end(), [&](const ec_graph *graph) {
                return graph->side == EC_DECODE && graph->model == i;
            });
            if (!is_there) reader_.fail_element("has no decoder for model " + std::to_string(i));
        }
    }

    FieldReader reader_;
    IndexStorage &out_;
    Lists<ec_bundle_file>::List &files_;
    Lists<ec_model>::List &models_;
    Lists<ec_knob>::List &knobs_;
};

}  // namespace

void read_index(const uint8_t *data, size_t size, IndexStorage &out) {
    if (size < sizeof kMagic || std::memcmp(data, kMagic, sizeof kMagic) != 0) {
        throw Failure(EC_NOT_A_BUNDLE, "is not the index of a bundle", 0);
    }
    if (size > kLargestIndex) {
        throw Failure(EC_NOT_A_BUNDLE, "is larger than " + std::to_string(kLargestIndex) + " bytes");
    }
    IndexReader(data, size, out).read();
}

}  // namespace edgecodec
