// Arbitrary bytes as an ONNX graph. Each is refused with a status, or its weights lie under plain paths and within 64
// bits, however many of them the caller has room for.
#include <string>
#include <vector>

#include "fuzzing.h"

namespace {

void check(const std::vector<uint8_t> &file, const ec_core_weights &weights) {
    require(weights.location.size > 0 && weights.location.size <= file.size());
    require(weights.location.offset <= file.size() - weights.location.size);
    require(weights.values.size > 0 && weights.values.offset <= INT64_MAX - weights.values.size);
    const std::string name(reinterpret_cast<const char *>(file.data()) + weights.location.offset,
                           weights.location.size);
    require(name.front() != '/' && ("/" + name + "/").find("/../") == std::string::npos);
    require(name.find_first_of(std::string("*:\\\0", 4)) == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    // A copy of exactly this size, so that the sanitizer sees every read past the end.
    const std::vector<uint8_t> file(data, data + size);
    size_t count = 0, again = 0;
    ec_error error{};
    const ec_status status = checked(ec_core_graph_read(file.data(), file.size(), nullptr, 0, &count, &error));
    require(status == EC_OK || status == EC_BAD_MODEL);
    if (status != EC_OK) {
        require(error.offset >= 0 && static_cast<uint64_t>(error.offset) <= size && error.message[0] != '\0');
        return 0;
    }
    std::vector<ec_core_weights> weights(count);
    require(ec_core_graph_read(file.data(), file.size(), weights.data(), count, &again, nullptr) == EC_OK);
    require(again == count);
    for (const ec_core_weights &each : weights) check(file, each);
    return 0;
}
