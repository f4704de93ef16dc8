// The fields of index.bin, read by their names in docs/format.md, so that a failure tells which field it is about:
// "graphs[2]: inputs[0]: role: is 7, not between 0 and 4", at the byte where the field starts.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bundle/names.h"
#include "support/byte_reader.h"
#include "support/number_text.h"
#include "support/status.h"

namespace edgecodec {

class FieldReader {
public:
    FieldReader(const uint8_t *data, size_t size) : reader_(data, size, EC_NOT_A_BUNDLE) {}

    // While it lives, the fields that are read belong to element `number` of a list.
    class Element {
    public:
        Element(FieldReader &reader, const char *list, size_t number) : reader_(reader) {
            reader.elements_.push_back({list, number, reader.reader_.position()});
        }
        ~Element() { reader_.elements_.pop_back(); }
        Element(const Element &) = delete;
        Element &operator=(const Element &) = delete;

    private:
        FieldReader &reader_;
    };

    uint8_t u8(const char *field) { return read(field, &ByteReader::u8); }
    uint16_t u16(const char *field) { return read(field, &ByteReader::u16); }
    uint32_t u32(const char *field) { return read(field, &ByteReader::u32); }
    uint64_t u64(const char *field) { return read(field, &ByteReader::u64); }
    const uint8_t *bytes(const char *field, size_t count) { return read(field, &ByteReader::bytes, count); }
    // A finite number.
    double f64(const char *field) {
        const double value = read(field, &ByteReader::f64);
        if (!std::isfinite(value)) fail("is not a number");
        return value;
    }
    std::string_view text(const char *field) {
        const std::string_view text = read(field, &ByteReader::text);
        if (text.size() > kLongestText) {
            fail("has " + std::to_string(text.size()) + " bytes, more than " + std::to_string(kLongestText));
        }
        if (!is_text(text)) fail("is not UTF-8 without U+0000");
        return text;
    }
    std::string_view name(const char *field) {
        const std::string_view name = text(field);
        if (name.empty() || name.size() > kLongestName) {
            fail("has " + std::to_string(name.size()) + " bytes, not 1 to " + std::to_string(kLongestName));
        }
        return name;
    }

    // A number that was read last, once it is known to be in its range.
    template <class Number>
    Number within(Number value, uint64_t low, uint64_t high) const {
        if (value < low || value > high) {
            fail("is " + std::to_string(value) + ", not between " + std::to_string(low) + " and " +
                 std::to_string(high));
        }
        return value;
    }
    double within(double value, double low, double high) const {
        if (value < low || value > high) {
            fail("is " + general_text(value) + ", not between " + general_text(low) + " and " + general_text(high));
        }
        return value;
    }
    // The same for the number of something of which there are `count`.
    size_t one_of(size_t value, size_t count) const {
        if (value >= count) fail("is " + std::to_string(value) + ", but there are only " + std::to_string(count));
        return value;
    }

    void end() {
        field_ = nullptr;
        start_ = reader_.position();
        if (reader_.remaining() > 0) fail("has " + std::to_string(reader_.remaining()) + " bytes after its end");
    }

    // About the field that was read last, and where it starts.
    [[noreturn]] void fail(const std::string &problem) const { fail_at(start_, field_, problem); }
    // About the element that is being read.
    [[noreturn]] void fail_element(const std::string &problem) const {
        fail_at(elements_.empty() ? 0 : elements_.back().start, nullptr, problem);
    }

private:
    static constexpr size_t kLongestText = 4096;  // bytes
    static constexpr size_t kLongestName = 255;   // bytes

    struct Place {
        const char *list;
        size_t number;
        size_t start;  // byte in the file
    };

    template <class Value, class... Arguments>
    Value read(const char *field, Value (ByteReader::*value)(Arguments...), Arguments... arguments) {
        field_ = field;
        start_ = reader_.position();
        try {
            return (reader_.*value)(arguments...);
        } catch (const Failure &failure) {  // which does not know the field
            fail(failure.message);
        }
    }

    [[noreturn]] void fail_at(size_t byte, const char *field, const std::string &problem) const {
        std::string message;
        for (const Place &place : elements_) {
            message += std::string(place.list) + "[" + std::to_string(place.number) + "]: ";
        }
        if (field != nullptr) message += std::string(field) + ": ";
        throw Failure(EC_NOT_A_BUNDLE, message + problem, static_cast<int64_t>(byte));
    }

    ByteReader reader_;
    std::vector<Place> elements_;
    const char *field_ = nullptr;
    size_t start_ = 0;
};

}  // namespace edgecodec
