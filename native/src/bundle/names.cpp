#include "bundle/names.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace edgecodec {

bool is_text(std::string_view bytes) {
    for (size_t i = 0; i < bytes.size();) {
        const auto byte = [&](size_t k) { return static_cast<uint8_t>(bytes[i + k]); };
        const uint8_t first = byte(0);
        const size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
        if (first == 0 || (first >= 0x80 && first < 0xC2) || first > 0xF4 || length > bytes.size() - i) return false;
        for (size_t k = 1; k < length; ++k) {
            if ((byte(k) & 0xC0) != 0x80) return false;
        }
        // A longer form than needed, half of a surrogate pair, and beyond U+10FFFF (the Unicode standard, table 3-7).
        if (first == 0xE0 && byte(1) < 0xA0) return false;
        if (first == 0xED && byte(1) > 0x9F) return false;
        if (first == 0xF0 && byte(1) < 0x90) return false;
        if (first == 0xF4 && byte(1) > 0x8F) return false;
        i += length;
    }
    return true;
}

namespace {

// U+0000 to U+001F and U+007F to U+009F.
bool has_control_character(std::string_view text) {
    for (size_t i = 0; i < text.size(); ++i) {
        const uint8_t byte = static_cast<uint8_t>(text[i]);
        if (byte < 0x20 || byte == 0x7F) return true;
        if (byte == 0xC2 && static_cast<uint8_t>(text[i + 1]) < 0xA0) return true;  // the first of two bytes
    }
    return false;
}

}  // namespace

bool is_path_inside(std::string_view name) {
    if (name.find_first_of("\\:") != std::string_view::npos || has_control_character(name)) return false;
    while (true) {
        const size_t slash = name.find('/');
        const std::string_view part = name.substr(0, slash);
        if (part.empty() || part == "." || part == "..") return false;
        if (slash == std::string_view::npos) return true;
        name.remove_prefix(slash + 1);
    }
}

bool is_knob_name(std::string_view name) {
    const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
    const auto may_follow = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '_'; };
    return !name.empty() && is_letter(name[0]) && std::all_of(name.begin(), name.end(), may_follow);
}

}  // namespace edgecodec
