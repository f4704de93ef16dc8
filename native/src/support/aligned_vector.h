// A vector that starts on a cache line, so that no load of a whole line crosses into a second one.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace edgecodec {

template <class Value>
struct CacheLineAllocator {
    using value_type = Value;

    CacheLineAllocator() = default;
    template <class Other>
    CacheLineAllocator(const CacheLineAllocator<Other> &) {}

    Value *allocate(size_t count) { return static_cast<Value *>(::operator new(count * sizeof(Value), kCacheLine)); }
    void deallocate(Value *values, size_t) { ::operator delete(values, kCacheLine); }

    friend bool operator==(CacheLineAllocator, CacheLineAllocator) { return true; }
    friend bool operator!=(CacheLineAllocator, CacheLineAllocator) { return false; }

private:
    static constexpr std::align_val_t kCacheLine{64};
};

template <class Value>
using AlignedVector = std::vector<Value, CacheLineAllocator<Value>>;

}  // namespace edgecodec
