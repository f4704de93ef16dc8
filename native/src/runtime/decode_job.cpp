#include "runtime/decode_job.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string>

#include "container/container.h"
#include "runtime/latent_windows.h"
#include "runtime/limits.h"
#include "runtime/noise.h"
#include "runtime/padding.h"
#include "support/number_text.h"
#include "support/status.h"

namespace edgecodec {

namespace {

uint32_t length(const Span &span) { return span.stop - span.start; }

std::string model_ids(const ec_bundle_info &bundle) {
    std::string ids;
    for (size_t i = 0; i < bundle.model_count; ++i) {
        if (i > 0) ids += i + 1 < bundle.model_count ? ", " : " and ";
        ids += hexadecimal(bundle.models[i]->id);
    }
    return ids;
}

}  // namespace

ec_file_info file_info(const uint8_t *data, size_t size) {
    const ec_core_container file = parse_container(data, size);
    ec_file_info info{};
    info.version = file.version;
    info.width = file.width;
    info.height = file.height;
    info.greyscale = file.greyscale;
    info.has_quality = file.has_quality;
    info.quality = static_cast<double>(file.quality) / kQualitySteps;
    info.model_id = file.model_id;
    info.lanes = file.lanes;
    info.payload_offset = file.payload.offset;
    info.payload_bytes = file.payload.size;
    for (uint32_t i = 0; i < file.section_count; ++i) {
        const uint8_t *section = data + file.section[i].offset;
        if (file.section_tag[i] == kNoiseSeedTag) {
            for (uint64_t byte = 0; byte < file.section[i].size; ++byte) {
                info.noise_seed |= uint64_t{section[byte]} << 8 * byte;
            }
        } else {
            const size_t bytes = static_cast<size_t>(file.section[i].size);
            info.sections[info.section_count++] = {file.section_tag[i], section, bytes};
        }
    }
    return info;
}

DecodeJob::DecodeJob(Codec &codec, const uint8_t *data, size_t size, const ec_decode_options &options)
    : Job(codec), asked_(codec.decoder_knobs(knob_values(options.knobs, options.knob_count))) {
    if (options.channels != 0 && options.channels != 3) {
        throw Failure(EC_INVALID_ARGUMENT, "channels is " + std::to_string(options.channels)).advising("give 0 or 3");
    }
    check_file_bytes(codec.limits(), size);
    info_ = file_info(data, size);
    check_picture_size(codec.limits(), info_.width, info_.height);
    check_pixels_per_byte(codec.limits(), info_.width, info_.height, size);
    const ec_bundle_info &bundle = codec.info();
    while (model_number_ < bundle.model_count && bundle.models[model_number_]->id != info_.model_id) ++model_number_;
    if (model_number_ == bundle.model_count) {
        throw Failure(EC_MODEL_MISMATCH,
                      "was coded with model " + hexadecimal(info_.model_id) + ", this bundle is " + model_ids(bundle))
            .advising("decode it with the bundle that encoded it");
    }
    model_ = &codec.model(model_number_);
    check_room(info_.width, info_.height, *model_);
    channels_ = options.channels != 0 ? options.channels : info_.greyscale != 0 ? 1 : 3;
    rows_ = aligned(info_.height, model_->alignment);
    columns_ = aligned(info_.width, model_->alignment);
    timings_.parse = watch_.lap();

    entropy_ = &codec.bundle().entropy_model(model_number_);
    std::vector<int16_t *> places;
    for (const size_t tensor : entropy_->decoder_latents()) {
        latents_.emplace_back(entropy_->extent(tensor, info_.width, info_.height).values());
        places.push_back(latents_.back().data());
    }
    entropy_->decode(info_.width, info_.height, info_.lanes, data + info_.payload_offset,
                     static_cast<size_t>(info_.payload_bytes), places.data(), codec.threads());
    timings_.entropy = watch_.lap();
}

DecodeJob::~DecodeJob() {
    if (owns_pixels_) codec_.release(pixels_);
}

ec_tensor DecodeJob::latent(size_t i) const {
    if (i >= latents_.size()) throw Failure(EC_INVALID_ARGUMENT, "there is no latent " + std::to_string(i));
    const size_t number = entropy_->decoder_latents()[i];
    const Extent extent = entropy_->extent(number, info_.width, info_.height);
    ec_tensor out{};
    out.name = model_->decoder_latents[i]->name;
    out.type = EC_INT16;
    out.rank = 3;
    out.shape[0] = static_cast<int64_t>(extent.channels);
    out.shape[1] = static_cast<int64_t>(extent.rows);
    out.shape[2] = static_cast<int64_t>(extent.columns);
    out.data = const_cast<int16_t *>(latents_[i].data());
    out.bytes = latents_[i].size() * sizeof(int16_t);
    return out;
}

void DecodeJob::place(const ec_picture &picture) {
    if (picture.pixels == nullptr) return;
    const size_t row = size_t{info_.width} * channels_;
    const size_t stride = picture.row_stride != 0 ? picture.row_stride : row;
    if (stride < row) {
        throw Failure(EC_INVALID_ARGUMENT, "rows of the picture overlap")
            .advising("row_stride is in bytes, and a row takes " + std::to_string(row));
    }
    // As stride * (height - 1) + row <= capacity, which may not fit a size_t.
    if (row > picture.capacity || (info_.height > 1 && stride > (picture.capacity - row) / (info_.height - 1))) {
        throw Failure(EC_INVALID_ARGUMENT, std::to_string(info_.width) + "x" + std::to_string(info_.height) + " with " +
                                               std::to_string(channels_) + " channels does not fit into " +
                                               std::to_string(picture.capacity) + " bytes")
            .advising("ec_peek says how large a picture is");
    }
    pixels_ = picture.pixels;
    row_stride_ = stride;
}

void DecodeJob::begin_synthesis() {
    const ec_graph &graph = codec_.decoder(model_number_, info_, asked_);
    plan(graph, rows_, columns_, model_->alignment);
    const bool takes_noise = std::any_of(graph.inputs, graph.inputs + graph.input_count,
                                         [](const ec_port *port) { return port->role == EC_NOISE; });
    if (takes_noise) {
        const size_t positions = size_t{rows_ / model_->noise_stride} * (columns_ / model_->noise_stride);
        noise_ = normal_noise(info_.noise_seed, positions * model_->noise_channels);
    }
    values_.resize(graph.input_count);
    if (pixels_ == nullptr) {
        row_stride_ = size_t{info_.width} * channels_;
        pixels_ = codec_.allocate(row_stride_ * info_.height);
        owns_pixels_ = true;
    }
}

void DecodeJob::add_latent(const ec_port &port, uint32_t channels, uint32_t stride, const int16_t *planes,
                           std::vector<float> &values) {
    const Span &row = plan_.row(window_), &column = plan_.column(window_);
    const uint32_t ratio = plan_.unit / stride;
    const uint32_t rows = length(row) * ratio, columns = length(column) * ratio;
    values.resize(size_t{channels} * rows * columns);
    cut_window(planes, {channels, rows_ / stride, columns_ / stride}, {row.start * ratio, rows},
               {column.start * ratio, columns}, values.data());
    add_input(port.name, EC_FLOAT32, {1, channels, rows, columns}, values.data());
}

bool DecodeJob::prepare() {
    if (graph_ == nullptr) begin_synthesis();
    if (window_ == plan_.count()) return false;
    for (size_t i = 0; i < graph_->input_count; ++i) {
        const ec_port &port = *graph_->inputs[i];
        if (port.role == EC_NOISE) {
            add_latent(port, model_->noise_channels, model_->noise_stride, noise_.data(), values_[i]);
        } else {
            const ec_latent &latent = *model_->decoder_latents[port.index];
            add_latent(port, latent.channels, latent.stride, latents_[port.index].data(), values_[i]);
        }
    }
    const int64_t rows = int64_t{length(plan_.row(window_))} * plan_.unit;
    const int64_t columns = int64_t{length(plan_.column(window_))} * plan_.unit;
    const auto bytes = static_cast<size_t>(rows * columns * 3);
    if (bytes > image_room_) {
        image_.reset(new uint8_t[bytes]);
        image_room_ = bytes;
    }
    add_output(graph_->outputs[0]->name, EC_UINT8, {rows, columns, 3}, image_.get());
    return true;
}

void DecodeJob::take() {
    const Span &row = plan_.row(window_), &column = plan_.column(window_);
    const uint32_t unit = plan_.unit;
    const uint32_t top = row.first * unit, left = column.first * unit;
    const uint32_t bottom = std::min(row.last * unit, info_.height), right = std::min(column.last * unit, info_.width);
    if (top >= bottom || left >= right) return;
    const size_t from_stride = size_t{length(column)} * unit * 3;
    const uint8_t *image = static_cast<const uint8_t *>(outputs_[0].data);
    store_pixels(
        image + size_t{(row.first - row.start) * unit} * from_stride + size_t{(column.first - column.start) * unit} * 3,
        from_stride, pixels_ + top * row_stride_ + size_t{left} * channels_, row_stride_, bottom - top, right - left,
        channels_, info_.greyscale != 0);
}

void DecodeJob::finish(ec_picture &picture) {
    require_finished();
    const size_t row = size_t{info_.width} * channels_;
    if (owns_pixels_ && picture.pixels != nullptr) {
        uint8_t *own = pixels_;
        const size_t own_stride = row_stride_;
        place(picture);
        for (uint32_t y = 0; y < info_.height; ++y) {
            std::memcpy(pixels_ + y * row_stride_, own + y * own_stride, row);
        }
        codec_.release(own);
        owns_pixels_ = false;
    }
    if (pixels_ == nullptr) throw Failure(EC_INVALID_ARGUMENT, "the job has been finished before");
    picture.pixels = pixels_;
    picture.row_stride = row_stride_;
    if (owns_pixels_) picture.capacity = row_stride_ * info_.height;
    pixels_ = nullptr;
    owns_pixels_ = false;
    picture.width = info_.width;
    picture.height = info_.height;
    picture.channels = channels_;
    picture.section_count = info_.section_count;
    std::copy(std::begin(info_.sections), std::end(info_.sections), picture.sections);
    picture.timings = timings();
    picture.tiles = plan_.tiles();
    picture.graph = graph_;
}

}  // namespace edgecodec
