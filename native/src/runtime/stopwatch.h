// Seconds of wall clock, for reports.
#pragma once

#include <chrono>

namespace edgecodec {

class Stopwatch {
public:
    // Seconds since the start or the last lap.
    double lap() {
        const auto now = std::chrono::steady_clock::now();
        const double seconds = std::chrono::duration<double>(now - start_).count();
        start_ = now;
        return seconds;
    }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace edgecodec
