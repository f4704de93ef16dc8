// What texts and names of index.bin may be.
#pragma once

#include <string_view>

namespace edgecodec {

// Well-formed UTF-8 without U+0000.
bool is_text(std::string_view bytes);

// Of such a text: a path inside the bundle, which leads neither upwards nor, on any system, elsewhere.
bool is_path_inside(std::string_view name);

// Of such a text: a name that can be typed in a command and in a call.
bool is_knob_name(std::string_view name);

}  // namespace edgecodec
