// The C functions of the rules of the runtime.
#include <algorithm>
#include <initializer_list>

#include "edgecodec/core.h"
#include "runtime/available_memory.h"
#include "runtime/knobs.h"
#include "runtime/limits.h"
#include "runtime/noise.h"
#include "runtime/padding.h"
#include "runtime/rate_search.h"
#include "runtime/side_inputs.h"
#include "runtime/windows.h"
#include "support/caller_struct.h"
#include "support/status.h"

struct ec_core_search {
    edgecodec::RateSearch search;
    size_t points;
    bool reported;
};

using namespace edgecodec;

namespace {

void require(std::initializer_list<const void *> pointers) {
    for (const void *pointer : pointers) {
        if (pointer == nullptr) throw Failure(EC_INVALID_ARGUMENT, "an argument is missing");
    }
}

void require(bool sensible, const char *problem) {
    if (!sensible) throw Failure(EC_INVALID_ARGUMENT, problem);
}

ec_limits limits_of(const ec_limits *limits) { return with_defaults(limits != nullptr ? *limits : ec_limits{}); }

template <class Value>
void copy(const std::vector<Value> &values, Value *out) {
    std::copy(values.begin(), values.end(), out);
}

void copy(const std::string &text, char *out) { copy_text(*reinterpret_cast<char (*)[32]>(out), text.c_str()); }

}  // namespace

ec_status ec_core_decimal(double value, char out[32], ec_error *error) {
    return guarded(error, [&] {
        require({out});
        copy(decimal(value), out);
    });
}

ec_status ec_core_memory_words(double bytes, char out[32], ec_error *error) {
    return guarded(error, [&] {
        require({out});
        copy(memory_words(bytes), out);
    });
}

ec_status ec_core_available_memory(const char *root, uint64_t *bytes, ec_error *error) {
    return guarded(error, [&] {
        require({bytes});
        *bytes = available_memory(root != nullptr ? root : "").value_or(UINT64_MAX);
    });
}

ec_status ec_core_check_size(const ec_limits *limits, uint64_t width, uint64_t height, ec_error *error) {
    return guarded(error, [&] { check_picture_size(limits_of(limits), width, height); });
}

ec_status ec_core_check_bytes(const ec_limits *limits, uint64_t file_bytes, ec_error *error) {
    return guarded(error, [&] { check_file_bytes(limits_of(limits), file_bytes); });
}

ec_status ec_core_check_ratio(const ec_limits *limits, uint64_t width, uint64_t height, uint64_t file_bytes,
                              ec_error *error) {
    return guarded(error, [&] { check_pixels_per_byte(limits_of(limits), width, height, file_bytes); });
}

ec_status ec_core_noise(uint64_t seed, int16_t *out, size_t count, ec_error *error) {
    return guarded(error, [&] {
        if (count == 0) return;
        require({out});
        copy(normal_noise(seed, count), out);
    });
}

ec_status ec_core_check_room(const ec_model *model, uint32_t width, uint32_t height, ec_error *error) {
    return guarded(error, [&] {
        require({model});
        require(model->alignment > 0, "the alignment is 0");
        check_room(width, height, *model);
    });
}

uint32_t ec_core_encoder_side(const ec_model *model, uint32_t side) {
    return model == nullptr || model->padding_alignment == 0 ? 0 : encoder_side(side, *model);
}

ec_status ec_core_pad(const ec_image *image, uint32_t rows, uint32_t columns, ec_padding rule, uint8_t *out,
                      ec_error *error) {
    return guarded(error, [&] {
        const ec_image given = from_caller(image, "image");
        require({image, given.pixels, out});
        require(given.width > 0 && given.height > 0 && (given.channels == 1 || given.channels == 3),
                "not a picture of 1 or 3 channels");
        require(given.height <= rows && given.width <= columns, "the picture is larger");
        copy(padded(given, rows, columns, rule), out);
    });
}

ec_status ec_core_store_pixels(const uint8_t *from, size_t from_row_stride, uint8_t *to, size_t to_row_stride,
                               uint32_t rows, uint32_t columns, uint32_t channels, uint32_t grey, ec_error *error) {
    return guarded(error, [&] {
        require({from, to});
        require(channels == 1 || channels == 3, "channels are 1 or 3");
        store_pixels(from, from_row_stride, to, to_row_stride, rows, columns, channels, grey != 0);
    });
}

ec_status ec_core_windows(const ec_graph *graph, uint32_t height, uint32_t width, uint32_t unit, uint32_t tile,
                          uint64_t max_memory, const ec_shape_range *shapes, size_t shape_count,
                          ec_core_window *windows, size_t capacity, ec_core_plan *plan, ec_error *error) {
    return guarded(error, [&] {
        require({graph, plan});
        require((shapes != nullptr || shape_count == 0) && (windows != nullptr || capacity == 0),
                "shapes or windows missing");
        require(height > 0 && width > 0 && unit > 0, "height, width or unit is 0");
        const std::vector<ec_shape_range> allowed(shapes, shapes + shape_count);
        const Plan planned = plan_windows(*graph, height, width, unit, {tile, max_memory}, allowed);
        *plan = {static_cast<uint32_t>(planned.rows.size()), static_cast<uint32_t>(planned.columns.size()),
                 planned.low_memory, planned.padded, planned.tiles()};
        std::vector<Span> both = planned.rows;
        both.insert(both.end(), planned.columns.begin(), planned.columns.end());
        std::transform(
            both.begin(), both.begin() + std::min(both.size(), capacity), windows,
            [](const Span &span) -> ec_core_window { return {span.start, span.stop, span.first, span.last}; });
    });
}

ec_status ec_core_choose_graph(const ec_bundle_info *bundle, ec_side side, uint32_t model, const char *precision,
                               const ec_knob_value *knobs, size_t knob_count, uint32_t any, const ec_graph **graph,
                               ec_error *error) {
    return guarded(error, [&] {
        require({graph, bundle});
        const ec_bundle_info info = from_caller(bundle, "bundle");
        const KnobValues asked = knob_values(knobs, knob_count);
        const std::vector<const ec_graph *> graphs = graphs_of(info, side, model, precision);
        check_known(info, side, asked);
        *graph = &choose_graph(info, graphs, asked, any != 0);
    });
}

ec_status ec_core_input_value(const ec_knob *knob, const ec_knob_value *knobs, size_t knob_count, double *value,
                              ec_error *error) {
    return guarded(error, [&] {
        require({knob, value});
        *value = input_value(*knob, knob_values(knobs, knob_count));
    });
}

ec_status ec_core_side_inputs(const ec_model *model, uint32_t width, uint32_t height, const uint8_t *labels,
                              size_t labels_row_stride, const uint8_t *mask, size_t mask_row_stride, int16_t *label_out,
                              int16_t *mask_out, ec_error *error) {
    return guarded(error, [&] {
        require({model});
        require(width > 0 && height > 0 && model->alignment > 0, "width, height or alignment is 0");
        const SidePlane label_plane{labels, labels_row_stride}, mask_plane{mask, mask_row_stride};
        check_side_inputs(*model, width, height, label_plane, mask_plane);
        const uint32_t rows = aligned(height, model->alignment), columns = aligned(width, model->alignment);
        for (size_t i = 0; i < model->encoder_latent_count; ++i) {
            const ec_latent &latent = *model->encoder_latents[i];
            const uint32_t stride = std::max(latent.stride, 1u);
            if (latent.source == EC_LABELS) {
                require({label_out});
                copy(label_latent(label_plane, width, height, rows, columns), label_out);
            } else if (latent.source == EC_MASK) {
                require({mask_out});
                copy(mask_latent(mask_plane, width, height, rows / stride, columns / stride, stride), mask_out);
            }
        }
    });
}

ec_status ec_core_search_open(size_t points, double target, const double *expected, ec_core_search **out,
                              ec_error *error) {
    return guarded(error, [&] {
        require({out});
        require(points > 0, "there are no points");
        std::vector<double> curve;
        if (expected != nullptr) curve.assign(expected, expected + points);
        *out = new ec_core_search{RateSearch(points, target, std::move(curve)), points, false};
    });
}

ec_status ec_core_search_next(const ec_core_search *search, size_t *point, ec_error *error) {
    return guarded(error, [&] {
        require({search, point});
        *point = search->search.next().value_or(SIZE_MAX);
    });
}

ec_status ec_core_search_report(ec_core_search *search, size_t point, uint64_t size, ec_error *error) {
    return guarded(error, [&] {
        require({search});
        require(point < search->points, "there is no such point");
        search->search.report(point, size);
        search->reported = true;
    });
}

ec_status ec_core_search_best(const ec_core_search *search, size_t *point, ec_error *error) {
    return guarded(error, [&] {
        require({search, point});
        require(search->reported, "nothing was reported");
        *point = search->search.best();
    });
}

void ec_core_search_close(ec_core_search *search) { delete search; }
