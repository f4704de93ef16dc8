// Numbers as text, whatever the locale of the program around.
#pragma once

#include <cstdint>
#include <string>

namespace edgecodec {

// As printf's %g writes it in the C locale: six significant digits at most.
std::string general_text(double value);

// The shortest decimal that reads back as this very value, as Python writes it but for a final ".0": "2", "1.296875",
// "1e+16". std::to_chars would do, with tables of 100 kB.
std::string shortest_text(double value);

// Eight hexadecimal digits, as ids of models are shown.
std::string hexadecimal(uint32_t value);

}  // namespace edgecodec
