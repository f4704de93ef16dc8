// A coded picture to pixels: the entropy stage when the job begins, then the decoder's graph over windows of the latents.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "edgecodec/edgecodec.h"
#include "model/entropy_model.h"
#include "runtime/job.h"

namespace edgecodec {

// What a coded picture says about itself; sections point into `data`. Throws what the container's parser does.
ec_file_info file_info(const uint8_t *data, size_t size);

class DecodeJob final : public Job {
public:
    // Throws Failure: EC_NOT_EDGC, EC_CORRUPT, EC_LATENTS_DIFFER, EC_VERSION, EC_MODEL_MISMATCH, EC_LIMIT,
    // EC_OUT_OF_RANGE, EC_KNOB_UNAVAILABLE, and what opening the entropy model does.
    DecodeJob(Codec &codec, const uint8_t *data, size_t size, const ec_decode_options &options);
    ~DecodeJob() override;

    ec_tensor latent(size_t i) const override;
    // The pixels will be written to the caller's memory at once, where `picture` has some. Throws
    // Failure(EC_INVALID_ARGUMENT) where that is too small. Before the first step.
    void place(const ec_picture &picture);
    void finish(ec_picture &picture);

private:
    bool prepare() override;
    void take() override;
    void begin_synthesis();
    void add_latent(const ec_port &port, uint32_t channels, uint32_t stride, const int16_t *planes,
                    std::vector<float> &values);

    KnobValues asked_;
    ec_file_info info_;
    uint32_t model_number_ = 0;
    const ec_model *model_ = nullptr;
    const EntropyModel *entropy_ = nullptr;
    std::vector<std::vector<int16_t>> latents_;
    std::vector<int16_t> noise_;
    uint32_t rows_ = 0, columns_ = 0;  // of the grid, in pixels
    uint32_t channels_;
    std::vector<std::vector<float>> values_;  // of the inputs of a step
    std::unique_ptr<uint8_t[]> image_;        // the output of a step; the engine writes all of it
    size_t image_room_ = 0;
    uint8_t *pixels_ = nullptr;
    size_t row_stride_ = 0;
    bool owns_pixels_ = false;
};

}  // namespace edgecodec
