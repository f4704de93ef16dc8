// What the public description of a bundle points to.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "edgecodec/edgecodec.h"

namespace edgecodec {

// Lists of values whose addresses stay, as arrays of pointers.
template <class Value>
class Lists {
public:
    using List = std::vector<const Value *>;

    List &add() { return lists_.emplace_back(); }
    Value &add_to(List &list) {
        Value &value = values_.emplace_back();
        list.push_back(&value);
        return value;
    }

private:
    std::deque<Value> values_;
    std::deque<List> lists_;
};

struct IndexStorage {
    // A copy that ends with a zero.
    const char *keep(std::string_view text) { return texts.emplace_back(text).c_str(); }

    ec_bundle_info info;
    std::deque<std::string> texts;
    std::deque<std::vector<double>> numbers;
    std::deque<std::vector<const char *>> classes;
    std::deque<std::vector<ec_knob_value>> baked;
    Lists<ec_bundle_file> files;
    Lists<ec_model> models;
    Lists<ec_latent> latents;
    Lists<ec_knob> knobs;
    Lists<ec_graph> graphs;
    Lists<ec_port> ports;
    std::map<std::string_view, const ec_bundle_file *> files_by_name;
};

}  // namespace edgecodec
