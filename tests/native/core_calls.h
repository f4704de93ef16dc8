// Shared by the native test programs: calls of the C interface that throw, and the names of the kernels.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "edgecodec/core.h"

template <class Function, class... Arguments>
void call(Function function, Arguments... arguments) {
    ec_error error{};
    if (function(arguments..., &error) != EC_OK) throw std::runtime_error(error.message);
}

// Names of the kernels that this processor can run, "scalar" first.
inline std::vector<std::string> available_kernels() {
    std::istringstream list(ec_core_kernels_available());
    std::vector<std::string> names;
    for (std::string name; std::getline(list, name, ',');) names.push_back(name);
    return names;
}
