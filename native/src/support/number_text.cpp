#include "support/number_text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

namespace edgecodec {

namespace {

constexpr int kMostDigits = 17;  // tell any two doubles apart
constexpr int kLeastFixed = -4, kEndOfFixed = 16;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// digits: the first before the point. value is positive.
struct Scientific {
    std::string digits;
    int exponent;
};

// The nearest decimal of so many digits.
Scientific nearest(double value, int digits) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*e", digits - 1, value);
    const char *e = std::strchr(text, 'e');
    Scientific out{{}, std::atoi(e + 1)};
    std::copy_if(text, const_cast<char *>(e), std::back_inserter(out.digits), is_digit);
    return out;
}

// Without a point, so that no locale matters.
bool reads_back(const Scientific &decimal, double value) {
    const int exponent = decimal.exponent - static_cast<int>(decimal.digits.size()) + 1;
    return std::strtod((decimal.digits + "e" + std::to_string(exponent)).c_str(), nullptr) == value;
}

// The next decimal of as many digits, upwards.
Scientific above(Scientific decimal) {
    size_t i = decimal.digits.size();
    while (i > 0 && decimal.digits[i - 1] == '9') decimal.digits[--i] = '0';
    if (i > 0) {
        ++decimal.digits[i - 1];
    } else {
        decimal.digits.insert(0, 1, '1');
        decimal.digits.pop_back();
        ++decimal.exponent;
    }
    return decimal;
}

// At a power of two the doubles below are closer than those above, so the nearest decimal may miss where the next does not.
Scientific shortest(double value) {
    for (int digits = 1; digits < kMostDigits; ++digits) {
        const Scientific close = nearest(value, digits);
        if (reads_back(close, value)) return close;
        const Scientific next = above(close);
        if (reads_back(next, value)) return next;
    }
    return nearest(value, kMostDigits);
}

std::string positive_text(double value) {
    Scientific decimal = shortest(value);
    std::string &digits = decimal.digits;
    digits.erase(digits.find_last_not_of('0') + 1);
    if (digits.empty()) return "0";
    const int exponent = decimal.exponent;
    if (exponent < kLeastFixed || exponent >= kEndOfFixed) {
        char end[16];
        std::snprintf(end, sizeof end, "e%c%02d", exponent < 0 ? '-' : '+', std::abs(exponent));
        return digits.substr(0, 1) + (digits.size() > 1 ? "." + digits.substr(1) : "") + end;
    }
    if (exponent < 0) return "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
    const size_t whole = static_cast<size_t>(exponent) + 1;
    if (digits.size() <= whole) return digits + std::string(whole - digits.size(), '0');
    return digits.substr(0, whole) + "." + digits.substr(whole);
}

}  // namespace

std::string general_text(double value) {
    char text[64];
    std::snprintf(text, sizeof text, "%g", value);
    // What a locale puts in place of the point is the only thing that can be none of these; it may have several bytes.
    std::string plain;
    bool in_point = false;
    for (const char *c = text; *c != 0; ++c) {
        const bool is_point = std::strchr("0123456789+-einfa", *c) == nullptr;
        if (!is_point) plain += *c;
        if (is_point && !in_point) plain += '.';
        in_point = is_point;
    }
    return plain;
}

std::string shortest_text(double value) {
    if (std::isnan(value)) return "nan";
    const std::string sign = std::signbit(value) ? "-" : "";
    return sign + (std::isinf(value) ? "inf" : positive_text(std::fabs(value)));
}

std::string hexadecimal(uint32_t value) {
    char text[9];
    std::snprintf(text, sizeof text, "%08x", static_cast<unsigned>(value));
    return text;
}

}  // namespace edgecodec
