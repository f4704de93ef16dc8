#include "runtime/encode_job.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "container/container.h"
#include "runtime/latent_windows.h"
#include "runtime/limits.h"
#include "runtime/padding.h"
#include "runtime/side_inputs.h"
#include "support/number_text.h"
#include "support/status.h"

namespace edgecodec {

namespace {

constexpr size_t kScalarPoints = 257;  // values of a knob without baked ones that a search for a rate chooses from

uint32_t length(const Span &span) { return span.stop - span.start; }

const ec_knob *find_knob(const ec_bundle_info &bundle, const char *name, ec_side side) {
    for (size_t i = 0; i < bundle.knob_count; ++i) {
        const ec_knob *knob = bundle.knobs[i];
        if (knob->side == side && std::strcmp(knob->name, name) == 0) return knob;
    }
    return nullptr;
}

// The knob that changes the rate: the quality that encoders were baked at, or else the first that is an input.
const ec_knob &rate_knob(const Codec &codec) {
    const ec_bundle_info &bundle = codec.info();
    if (!baked_values(codec.encoders(), QUALITY).empty()) return *find_knob(bundle, QUALITY, EC_ENCODE);
    const ec_graph &graph = codec.encoder({});
    for (size_t i = 0; i < graph.input_count; ++i) {
        if (graph.inputs[i]->role == EC_KNOB) return *bundle.knobs[graph.inputs[i]->index];
    }
    throw Failure(EC_KNOB_UNAVAILABLE, "the bundle codes at one rate only")
        .at("target_bpp")
        .advising("leave the target out, or export checkpoints of several rates");
}

// The values of a knob to choose from, ascending.
std::vector<double> rate_points(const Codec &codec, const ec_knob &knob) {
    if (knob.value_count > 0) return baked_values(codec.encoders(), knob.name);
    std::vector<double> points(kScalarPoints);
    const double step = (knob.high - knob.low) / (kScalarPoints - 1);
    for (size_t i = 0; i < points.size(); ++i) points[i] = static_cast<double>(i) * step + knob.low;
    points.back() = knob.high;
    return points;
}

// About the bits per pixel at a value, by the knob's fit; beyond what was measured, that at the end.
double fitted_bits_per_pixel(const ec_knob &knob, double value) {
    value = std::min(std::max(value, knob.fit_low), knob.fit_high);
    double exponent = 0;
    for (size_t k = knob.fit_count; k-- > 0;) exponent = exponent * value + knob.fit[k];
    return std::exp2(exponent);
}

// About the bits per pixel at each of these values: by the knob's fit, or where the values choose among models by what
// photographs took with each. Empty where the bundle does not say.
std::vector<double> expected_rates(const Codec &codec, const ec_knob &knob, const std::vector<double> &values) {
    std::vector<double> rates;
    const bool among_models = knob.value_count > 0 && codec.info().model_count > 1;
    for (const double value : values) {
        if (knob.fit_count > 0) {
            rates.push_back(fitted_bits_per_pixel(knob, value));
        } else if (among_models) {
            rates.push_back(codec.model(codec.encoder({{knob.name, value}}).model).rate);
        }
    }
    return rates;
}

struct Point {
    const ec_graph *graph;
    std::vector<float> knob_inputs;
};

Point point_of(const Codec &codec, const KnobValues &asked) {
    const ec_bundle_info &bundle = codec.info();
    const ec_graph &graph = codec.encoder(asked);
    Point point{&graph, std::vector<float>(bundle.knob_count)};
    for (size_t i = 0; i < graph.input_count; ++i) {
        const ec_port &port = *graph.inputs[i];
        if (port.role == EC_KNOB) {
            point.knob_inputs[port.index] = static_cast<float>(input_value(*bundle.knobs[port.index], asked));
        }
    }
    return point;
}

bool takes_noise(const ec_bundle_info &bundle) {
    for (size_t i = 0; i < bundle.graph_count; ++i) {
        const ec_graph &graph = *bundle.graphs[i];
        for (size_t k = 0; k < graph.input_count; ++k) {
            if (graph.inputs[k]->role == EC_NOISE) return true;
        }
    }
    return false;
}

// Length of a side that the analysis graph gets: padded as the graph wants it, which may be less than the whole units of
// the latents' grid, and the graph grows its latents to that; or as long as the windows are, where an engine takes no
// picture as small as this one.
uint32_t padded_side(uint32_t side, const ec_model &model, const std::vector<Span> &windows) {
    const uint32_t wanted = encoder_side(side, model), planned = windows.back().stop * model.alignment;
    return planned > aligned(wanted, model.alignment) ? planned : wanted;
}

std::vector<uint8_t> copy_rows(const uint8_t *from, size_t row_stride, uint32_t height, size_t row) {
    std::vector<uint8_t> copy(row * height);
    for (uint32_t y = 0; y < height; ++y) std::memcpy(copy.data() + y * row, from + y * row_stride, row);
    return copy;
}

void check_image(const ec_image &image) {
    if (image.pixels == nullptr) throw Failure(EC_INVALID_ARGUMENT, "the image has no pixels");
    if (image.width == 0 || image.height == 0) throw Failure(EC_INVALID_ARGUMENT, "the image is empty");
    if (image.channels != 1 && image.channels != 3) {
        throw Failure(EC_INVALID_ARGUMENT, "the image has " + std::to_string(image.channels) + " channels")
            .advising("give 1 or 3");
    }
    if (image.row_stride != 0 && image.row_stride < size_t{image.width} * image.channels) {
        throw Failure(EC_INVALID_ARGUMENT, "rows of the image overlap").advising("row_stride is in bytes");
    }
}

}  // namespace

void check_encoding(const Codec &codec, const ec_encode_options &options) {
    const KnobValues asked = knob_values(options.knobs, options.knob_count);
    const bool to_rate = options.target_bpp != 0;
    if (to_rate) {
        if (!asked.empty()) {
            throw Failure(EC_INVALID_ARGUMENT, describe(asked) + " and a target rate exclude each other")
                .advising("give one");
        }
        if (!(std::isfinite(options.target_bpp) && options.target_bpp > 0)) {
            throw Failure(EC_INVALID_ARGUMENT, "the target is " + decimal(options.target_bpp) + " bits per pixel")
                .advising("give a positive number");
        }
    }
    if (options.has_seed != 0 && !takes_noise(codec.info())) {
        throw Failure(EC_KNOB_UNAVAILABLE, "the bundle's decoders take no noise").at("seed");
    }
    point_of(codec, asked);
    if (to_rate) rate_knob(codec);
}

EncodeJob::EncodeJob(Codec &codec, const ec_image &image, const ec_encode_options &options)
    : Job(codec), seed_(options.has_seed != 0 ? options.seed : 0), target_bpp_(options.target_bpp) {
    check_encoding(codec, options);
    check_image(image);
    check_picture_size(codec.limits(), image.width, image.height);
    take_image(image);
    take_sections(options.sections, options.section_count);
    const auto take_plane = [&](const uint8_t *plane, size_t row_stride, std::vector<uint8_t> &copy) {
        if (plane == nullptr) return false;
        if (row_stride != 0 && row_stride < image.width) {
            throw Failure(EC_INVALID_ARGUMENT, "rows of labels or mask overlap").advising("strides are in bytes");
        }
        copy = copy_rows(plane, row_stride != 0 ? row_stride : image.width, image.height, image.width);
        return true;
    };
    has_labels_ = take_plane(options.labels, options.labels_row_stride, labels_);
    has_mask_ = take_plane(options.mask, options.mask_row_stride, mask_);

    if (target_bpp_ != 0) {
        searched_ = &rate_knob(codec);
        points_ = rate_points(codec, *searched_);
        const double pixels = static_cast<double>(image.width) * image.height;
        double metadata = 0;
        for (const auto &section : sections_) metadata += static_cast<double>(section.second.size());
        std::vector<double> expected = expected_rates(codec, *searched_, points_);
        for (double &each : expected) each = metadata + each * pixels / 8;
        search_.emplace(points_.size(), target_bpp_ * pixels / 8, std::move(expected));
        point_ = *search_->next();
        begin({{searched_->name, points_[point_]}});
    } else {
        begin(knob_values(options.knobs, options.knob_count));
    }
    timings_.rest += watch_.lap();
}

void EncodeJob::take_image(const ec_image &image) {
    const size_t row = size_t{image.width} * image.channels;
    copy_ = copy_rows(image.pixels, image.row_stride != 0 ? image.row_stride : row, image.height, row);
    image_ = image;
    image_.pixels = copy_.data();
    image_.row_stride = row;
}

void EncodeJob::take_sections(const ec_section *sections, size_t count) {
    if (sections == nullptr && count > 0) throw Failure(EC_INVALID_ARGUMENT, "the sections are missing");
    for (size_t i = 0; i < count; ++i) {
        const ec_section &section = sections[i];
        if (section.tag != EC_ICC && section.tag != EC_EXIF && section.tag != EC_XMP) {
            throw Failure(EC_INVALID_ARGUMENT, "a section has the tag " + std::to_string(section.tag))
                .advising("give EC_ICC, EC_EXIF or EC_XMP");
        }
        if (section.size == 0) continue;
        if (section.data == nullptr) throw Failure(EC_INVALID_ARGUMENT, "a section has no data");
        // What the container would refuse, before any work and before it is copied.
        const bool twice = std::any_of(sections_.begin(), sections_.end(),
                                       [&](const auto &other) { return other.first == section.tag; });
        if (twice || section.size > UINT32_MAX) {
            throw Failure(EC_INVALID_ARGUMENT, "a section has an unknown tag, comes twice or is too large");
        }
        sections_.emplace_back(section.tag, std::vector<uint8_t>(section.data, section.data + section.size));
    }
    std::stable_sort(sections_.begin(), sections_.end(),
                     [](const auto &one, const auto &other) { return one.first < other.first; });
}

// Entropy model, side inputs and padding, which do not depend on the knobs.
void EncodeJob::use_model(const ec_model &model) {
    model_ = &model;
    const SidePlane labels{has_labels_ ? labels_.data() : nullptr, image_.width};
    const SidePlane mask{has_mask_ ? mask_.data() : nullptr, image_.width};
    check_side_inputs(model, image_.width, image_.height, labels, mask);
    uint32_t number = 0;
    while (codec_.info().models[number] != &model) ++number;
    entropy_ = &codec_.bundle().entropy_model(number);
    side_latents_.clear();
    for (size_t i = 0; i < model.encoder_latent_count; ++i) {
        const ec_latent &latent = *model.encoder_latents[i];
        const Extent extent = entropy_->extent(entropy_->encoder_latents()[i], image_.width, image_.height);
        const uint32_t rows = static_cast<uint32_t>(extent.rows), columns = static_cast<uint32_t>(extent.columns);
        if (latent.source == EC_LABELS) {
            side_latents_[i] = label_latent(labels, image_.width, image_.height, rows, columns);
        } else if (latent.source == EC_MASK) {
            side_latents_[i] = mask_latent(mask, image_.width, image_.height, rows, columns, latent.stride);
        }
    }
    check_room(image_.width, image_.height, model);
    padded_.clear();
}

void EncodeJob::begin(const KnobValues &asked) {
    const Point point = point_of(codec_, asked);
    attempt_ = {};
    attempt_.asked = asked;
    attempt_.graph = point.graph;
    attempt_.knob_inputs = point.knob_inputs;
    const ec_model &model = codec_.model(point.graph->model);
    if (&model != model_) use_model(model);
    graph_ = nullptr;
    attempting_ = true;
}

bool EncodeJob::prepare() {
    if (done_) return false;
    if (attempting_ && graph_ == nullptr) {
        const uint32_t unit = model_->alignment;
        plan(*attempt_.graph, encoder_side(image_.height, *model_), encoder_side(image_.width, *model_), unit);
        const uint32_t rows = padded_side(image_.height, *model_, plan_.rows);
        const uint32_t columns = padded_side(image_.width, *model_, plan_.columns);
        if (padded_.empty() || rows != padded_rows_ || columns != padded_columns_) {
            padded_ = padded(image_, rows, columns, model_->padding);
            padded_rows_ = rows;
            padded_columns_ = columns;
        }
        attempt_.latents.clear();
        for (size_t i = 0; i < model_->encoder_latent_count; ++i) {
            const Extent extent = entropy_->extent(entropy_->encoder_latents()[i], image_.width, image_.height);
            const auto side = side_latents_.find(i);
            attempt_.latents.push_back(side != side_latents_.end() ? side->second
                                                                   : std::vector<int16_t>(extent.values()));
        }
        values_.resize(graph_->output_count);
    }
    if (window_ == plan_.count()) {
        code();
        if (done_) return false;
        return prepare();
    }

    const Span &row = plan_.row(window_), &column = plan_.column(window_);
    const uint32_t unit = plan_.unit;
    const uint32_t rows = length(row) * unit, columns = length(column) * unit;
    for (size_t i = 0; i < graph_->input_count; ++i) {
        const ec_port &port = *graph_->inputs[i];
        if (port.role == EC_IMAGE) {
            const uint32_t image_rows = std::min(rows, padded_rows_ - row.start * unit);
            const uint32_t image_columns = std::min(columns, padded_columns_ - column.start * unit);
            const uint8_t *pixels = padded_.data();
            if (plan_.count() > 1) {
                const size_t stride = size_t{padded_columns_} * 3;
                window_pixels_ = copy_rows(padded_.data() + row.start * unit * stride + size_t{column.start} * unit * 3,
                                           stride, image_rows, size_t{image_columns} * 3);
                pixels = window_pixels_.data();
            }
            add_input(port.name, EC_UINT8, {image_rows, image_columns, 3}, pixels);
        } else if (port.role == EC_SIZE) {
            // The part of the window that is picture and not padding.
            window_size_ = {int64_t{std::min(image_.height, row.stop * unit)} - int64_t{row.start} * unit,
                            int64_t{std::min(image_.width, column.stop * unit)} - int64_t{column.start} * unit};
            add_input(port.name, EC_INT64, {2}, window_size_.data());
        } else {
            add_input(port.name, EC_FLOAT32, {}, &attempt_.knob_inputs[port.index]);
        }
    }
    for (size_t i = 0; i < graph_->output_count; ++i) {
        const ec_port &port = *graph_->outputs[i];
        const ec_latent &latent = *model_->encoder_latents[port.index];
        values_[i].resize(size_t{latent.channels} * (rows / latent.stride) * (columns / latent.stride));
        add_output(port.name, EC_FLOAT32, {1, latent.channels, rows / latent.stride, columns / latent.stride},
                   values_[i].data());
    }
    return true;
}

void EncodeJob::take() {
    const Span &row = plan_.row(window_), &column = plan_.column(window_);
    for (size_t i = 0; i < graph_->output_count; ++i) {
        const size_t number = graph_->outputs[i]->index;
        const ec_latent &latent = *model_->encoder_latents[number];
        const float *values = static_cast<const float *>(outputs_[i].data);
        const ValueRange range = range_of(values, values_[i].size());
        if (!range.numbers) {
            throw Failure(EC_ENGINE_FAILED, "the encoder gave values that are not numbers")
                .at(std::string("latent ") + latent.name);
        }
        if (range.low < std::numeric_limits<int16_t>::min() || range.high > std::numeric_limits<int16_t>::max()) {
            throw Failure(EC_OUT_OF_RANGE, "values from " + general_text(range.low) + " to " +
                                               general_text(range.high) + " do not fit 16 bits")
                .at(std::string("latent ") + latent.name);
        }
        const uint32_t ratio = plan_.unit / latent.stride;
        const Extent extent = entropy_->extent(entropy_->encoder_latents()[number], image_.width, image_.height);
        const MapShape whole{latent.channels, static_cast<uint32_t>(extent.rows),
                             static_cast<uint32_t>(extent.columns)};
        const auto kept = [&](const Span &span, uint32_t length) {
            const uint32_t first = std::min(span.first * ratio, length);
            return Range{first, std::min(span.last * ratio, length) - first};
        };
        paste_window(values, length(row) * ratio, length(column) * ratio, row.start * ratio, column.start * ratio,
                     kept(row, whole.rows), kept(column, whole.columns), whole, attempt_.latents[number].data());
    }
}

std::vector<uint8_t> EncodeJob::container(const std::vector<uint8_t> &payload, uint32_t lanes) const {
    ec_core_container head{};
    head.version = 1;
    head.lanes = lanes;
    head.width = image_.width;
    head.height = image_.height;
    head.greyscale = image_.channels == 1 ? 1 : 0;
    head.model_id = model_->id;
    head.payload.size = payload.size();
    const ec_bundle_info &bundle = codec_.info();
    for (size_t i = 0; i < graph_->knob_count; ++i) {
        // Where models differ in quality, the file's model id says it.
        if (std::strcmp(graph_->knobs[i].name, QUALITY) == 0 && bundle.model_count == 1) {
            head.has_quality = 1;
            head.quality = static_cast<uint32_t>(std::llrint(graph_->knobs[i].value * kQualitySteps));
        }
    }
    std::vector<const uint8_t *> data;
    const auto add = [&](uint32_t tag, const uint8_t *bytes, size_t size) {
        if (head.section_count == EC_CORE_MAX_SECTIONS)
            throw Failure(EC_INVALID_ARGUMENT, "there are too many sections");
        head.section_tag[head.section_count] = tag;
        head.section[head.section_count++].size = size;
        data.push_back(bytes);
    };
    for (const auto &section : sections_) add(section.first, section.second.data(), section.second.size());
    uint8_t seed[kNoiseSeedSize];
    for (uint32_t i = 0; i < kNoiseSeedSize; ++i) seed[i] = static_cast<uint8_t>(seed_ >> 8 * i);
    if (seed_ != 0) add(kNoiseSeedTag, seed, sizeof seed);
    return write_container(head, data.data(), payload.data());
}

// The latents are there: entropy coder and container, and the search's next try.
void EncodeJob::code() {
    timings_.rest += watch_.lap();
    std::vector<const int16_t *> planes;
    for (const auto &latent : attempt_.latents) planes.push_back(latent.data());
    uint32_t lanes = 0;
    const std::vector<uint8_t> payload =
        entropy_->encode(image_.width, image_.height, lanes, planes.data(), codec_.threads());
    timings_.entropy += watch_.lap();
    attempt_.file = container(payload, lanes);
    attempt_.tiles = plan_.tiles();
    timings_.parse += watch_.lap();
    attempting_ = false;
    if (!search_.has_value()) {
        done_ = true;
        return;
    }
    search_->report(point_, attempt_.file.size());
    attempts_[point_] = std::move(attempt_);
    // Only what is as large as the best so far can still become the best.
    const size_t best_size = attempts_[search_->best()].file.size();
    for (auto each = attempts_.begin(); each != attempts_.end();) {
        each = each->second.file.size() == best_size ? std::next(each) : attempts_.erase(each);
    }
    const std::optional<size_t> next = search_->next();
    if (next.has_value()) {
        point_ = *next;
        begin({{searched_->name, points_[point_]}});
    } else {
        point_ = search_->best();
        attempt_ = std::move(attempts_[point_]);
        attempts_.clear();
        const ec_model &model = codec_.model(attempt_.graph->model);
        if (&model != model_) use_model(model);
        done_ = true;
    }
}

ec_tensor EncodeJob::latent(size_t i) const {
    require_finished();
    if (i >= attempt_.latents.size()) throw Failure(EC_INVALID_ARGUMENT, "there is no latent " + std::to_string(i));
    const Extent extent = entropy_->extent(entropy_->encoder_latents()[i], image_.width, image_.height);
    ec_tensor out{};
    out.name = model_->encoder_latents[i]->name;
    out.type = EC_INT16;
    out.rank = 3;
    out.shape[0] = static_cast<int64_t>(extent.channels);
    out.shape[1] = static_cast<int64_t>(extent.rows);
    out.shape[2] = static_cast<int64_t>(extent.columns);
    out.data = const_cast<int16_t *>(attempt_.latents[i].data());
    out.bytes = attempt_.latents[i].size() * sizeof(int16_t);
    return out;
}

size_t EncodeJob::size() const {
    require_finished();
    return attempt_.file.size();
}

void EncodeJob::finish(ec_file &file) {
    const size_t size = this->size();
    if (file.data == nullptr) {
        file.data = codec_.allocate(size);
        file.capacity = size;
    } else if (size > file.capacity) {
        throw Failure(EC_INVALID_ARGUMENT, "the file takes " + std::to_string(size) + " bytes, there is room for " +
                                               std::to_string(file.capacity));
    }
    std::memcpy(file.data, attempt_.file.data(), size);
    file.size = size;
    file.timings = timings();
    file.tiles = attempt_.tiles;
    file.graph = attempt_.graph;
    file.knob = searched_ != nullptr ? searched_->name : nullptr;
    file.value = searched_ != nullptr ? points_[point_] : 0;
    const double pixels = static_cast<double>(image_.width) * image_.height;
    file.reached = searched_ != nullptr && 8 * static_cast<double>(size) <= target_bpp_ * pixels ? 1 : 0;
}

}  // namespace edgecodec
