// The tensors that an entropy model's steps work on (docs/format.md, section 3), for one picture.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace edgecodec {

struct ModelTensor {
    std::string name;
    uint32_t channels, stride;
    bool holds_indices, decoder_latent;
};

struct Extent {
    size_t rows, columns, channels;

    size_t positions() const { return rows * columns; }
    size_t values() const { return channels * rows * columns; }
};

// The extent of a tensor for a picture of width x height pixels.
Extent extent_of(const ModelTensor &tensor, uint32_t alignment, uint32_t width, uint32_t height);

// The extents of a model's tensors for one picture.
class Extents {
public:
    Extents(const std::vector<ModelTensor> &tensors, uint32_t alignment, uint32_t width, uint32_t height)
        : tensors_(tensors), alignment_(alignment), width_(width), height_(height) {}

    Extent operator[](size_t tensor) const { return extent_of(tensors_[tensor], alignment_, width_, height_); }

private:
    const std::vector<ModelTensor> &tensors_;
    uint32_t alignment_, width_, height_;
};

// A tensor of values has two orders: planes (channels, rows, columns), which callers and the coder use, and pixels
// (rows, columns, channels), which nets use. A step writes one of them; the other is made when a step asks for it.
class Workspace {
public:
    Workspace(const std::vector<ModelTensor> &tensors, uint32_t alignment, uint32_t width, uint32_t height,
              unsigned threads);

    Extent extent(size_t tensor) const { return extent_of(tensors_[tensor], alignment_, width_, height_); }
    unsigned threads() const { return threads_; }

    // The planes of this tensor are written to the caller's memory instead of the workspace.
    void place_planes(size_t tensor, int16_t *planes) { storage_[tensor].placed = planes; }
    // The planes of this tensor are read from the caller's memory, which must outlive the workspace.
    void lend_planes(size_t tensor, const int16_t *planes) { storage_[tensor].planes = planes; }

    int16_t *new_planes(size_t tensor);
    int16_t *new_pixels(size_t tensor);
    uint8_t *new_indices(size_t tensor);
    const int16_t *planes(size_t tensor);
    const int16_t *pixels(size_t tensor);
    const uint8_t *indices(size_t tensor) const { return storage_[tensor].own_indices.data(); }

    void release(size_t tensor) { storage_[tensor] = {}; }

private:
    struct Storage {
        const int16_t *planes = nullptr, *pixels = nullptr;
        int16_t *placed = nullptr;
        std::vector<int16_t> own_planes, own_pixels;
        std::vector<uint8_t> own_indices;
    };

    const std::vector<ModelTensor> &tensors_;
    uint32_t alignment_, width_, height_;
    unsigned threads_;
    std::vector<Storage> storage_;
};

}  // namespace edgecodec
