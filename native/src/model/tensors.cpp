#include "model/tensors.h"

#include "support/transpose.h"

namespace edgecodec {

Extent extent_of(const ModelTensor &tensor, uint32_t alignment, uint32_t width, uint32_t height) {
    const size_t per_unit = alignment / tensor.stride;
    const auto side = [&](uint32_t pixels) {
        return (static_cast<size_t>(pixels) + alignment - 1) / alignment * per_unit;
    };
    return {side(height), side(width), tensor.channels};
}

Workspace::Workspace(const std::vector<ModelTensor> &tensors, uint32_t alignment, uint32_t width, uint32_t height,
                     unsigned threads)
    : tensors_(tensors),
      alignment_(alignment),
      width_(width),
      height_(height),
      threads_(threads),
      storage_(tensors.size()) {}

int16_t *Workspace::new_planes(size_t tensor) {
    Storage &storage = storage_[tensor];
    int16_t *planes = storage.placed;
    if (planes == nullptr) {
        storage.own_planes.resize(extent(tensor).values());
        planes = storage.own_planes.data();
    }
    storage.planes = planes;
    return planes;
}

int16_t *Workspace::new_pixels(size_t tensor) {
    Storage &storage = storage_[tensor];
    storage.own_pixels.resize(extent(tensor).values());
    storage.pixels = storage.own_pixels.data();
    return storage.own_pixels.data();
}

uint8_t *Workspace::new_indices(size_t tensor) {
    storage_[tensor].own_indices.resize(extent(tensor).values());
    return storage_[tensor].own_indices.data();
}

const int16_t *Workspace::planes(size_t tensor) {
    Storage &storage = storage_[tensor];
    if (storage.planes == nullptr) {
        const Extent extent = this->extent(tensor);
        transpose(storage.pixels, extent.positions(), extent.channels, new_planes(tensor));
    }
    return storage.planes;
}

const int16_t *Workspace::pixels(size_t tensor) {
    Storage &storage = storage_[tensor];
    if (storage.pixels == nullptr) {
        const Extent extent = this->extent(tensor);
        transpose(storage.planes, extent.channels, extent.positions(), new_pixels(tensor));
    }
    return storage.pixels;
}

}  // namespace edgecodec
