// Pixels to a coded picture: the encoder's graph over windows of the picture, the entropy coder, and the container; once,
// or as often as a search for a rate wants.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "edgecodec/edgecodec.h"
#include "model/entropy_model.h"
#include "runtime/job.h"
#include "runtime/rate_search.h"

namespace edgecodec {

// Throws what encoding any picture with these options would: Failure(EC_INVALID_ARGUMENT, EC_KNOB_UNAVAILABLE).
void check_encoding(const Codec &codec, const ec_encode_options &options);

class EncodeJob final : public Job {
public:
    // Throws Failure: EC_INVALID_ARGUMENT, EC_KNOB_UNAVAILABLE, EC_LIMIT, EC_OUT_OF_RANGE, and what opening the entropy
    // model does.
    EncodeJob(Codec &codec, const ec_image &image, const ec_encode_options &options);

    ec_tensor latent(size_t i) const override;
    // Bytes of the file. After the last step.
    size_t size() const;
    void finish(ec_file &file);

private:
    // One try at a choice of knobs.
    struct Attempt {
        KnobValues asked;
        const ec_graph *graph = nullptr;
        std::vector<float> knob_inputs;  // by knob of the bundle
        std::vector<std::vector<int16_t>> latents;
        std::vector<uint8_t> file;
        ec_tiles tiles{};
    };

    bool prepare() override;
    void take() override;
    void take_image(const ec_image &image);
    void take_sections(const ec_section *sections, size_t count);
    void begin(const KnobValues &asked);
    void use_model(const ec_model &model);
    void code();
    std::vector<uint8_t> container(const std::vector<uint8_t> &payload, uint32_t lanes) const;

    ec_image image_{};  // of the copy
    std::vector<uint8_t> copy_, labels_, mask_;
    bool has_labels_ = false, has_mask_ = false;
    std::vector<std::pair<uint32_t, std::vector<uint8_t>>> sections_;
    uint64_t seed_;

    const ec_model *model_ = nullptr;
    const EntropyModel *entropy_ = nullptr;
    std::map<size_t, std::vector<int16_t>> side_latents_;  // by encoder latent
    std::vector<uint8_t> padded_;
    uint32_t padded_rows_ = 0, padded_columns_ = 0;

    const ec_knob *searched_ = nullptr;
    std::vector<double> points_;
    std::optional<RateSearch> search_;
    double target_bpp_;
    size_t point_ = 0;
    std::map<size_t, Attempt> attempts_;  // those that may still be the best, by point

    Attempt attempt_;
    bool attempting_ = false, done_ = false;
    std::vector<uint8_t> window_pixels_;
    std::array<int64_t, 2> window_size_{};
    std::vector<std::vector<float>> values_;  // outputs of a step
};

}  // namespace edgecodec
