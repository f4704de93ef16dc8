#include "runtime/knobs.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <set>

#include "support/number_text.h"
#include "support/status.h"

namespace edgecodec {

namespace {

constexpr double kQualitySteps = 64;  // to a level

const char *verb(ec_side side) { return side == EC_ENCODE ? "encode" : "decode"; }

// Python's math.isclose with an absolute tolerance of 1e-9, and its own relative one.
bool is_close(double one, double other) {
    constexpr double kTolerance = 1e-9;
    if (one == other) return true;
    if (std::isinf(one) || std::isinf(other)) return false;
    const double difference = std::fabs(other - one);
    return difference <= std::fabs(kTolerance * other) || difference <= std::fabs(kTolerance * one) ||
           difference <= kTolerance;
}

// Values travel through texts and command lines as decimals, and quality through files in steps of its own.
bool same_value(const std::string &knob, double one, double other) {
    return knob == QUALITY ? quantised_quality(one) == quantised_quality(other) : is_close(one, other);
}

const ec_knob_value *baked(const ec_graph &graph, const std::string &knob) {
    const ec_knob_value *end = graph.knobs + graph.knob_count;
    const ec_knob_value *found = std::find_if(graph.knobs, end, [&](const auto &each) { return each.name == knob; });
    return found != end ? found : nullptr;
}

// The knobs that a graph has as inputs.
std::vector<const ec_knob *> inputs_of(const ec_graph &graph, const ec_bundle_info &bundle) {
    std::vector<const ec_knob *> knobs;
    for (size_t i = 0; i < graph.input_count; ++i) {
        if (graph.inputs[i]->role == EC_KNOB) knobs.push_back(bundle.knobs[graph.inputs[i]->index]);
    }
    return knobs;
}

// The default of a knob; nothing where the bundle has none for this side.
const double *default_of(const ec_bundle_info &bundle, ec_side side, const std::string &knob) {
    for (size_t i = 0; i < bundle.knob_count; ++i) {
        if (bundle.knobs[i]->side == side && bundle.knobs[i]->name == knob) return &bundle.knobs[i]->default_value;
    }
    return nullptr;
}

bool takes(const ec_graph &graph, const ec_bundle_info &bundle, const std::string &knob) {
    const std::vector<const ec_knob *> inputs = inputs_of(graph, bundle);
    return baked(graph, knob) != nullptr ||
           std::any_of(inputs.begin(), inputs.end(), [&](const ec_knob *each) { return each->name == knob; });
}

bool matches(const ec_graph &graph, const ec_bundle_info &bundle, const KnobValues &asked, bool any) {
    for (const auto &[knob, value] : asked) {
        if (!takes(graph, bundle, knob)) return false;
    }
    return std::all_of(graph.knobs, graph.knobs + graph.knob_count, [&](const ec_knob_value &each) {
        const auto wanted = asked.find(each.name);
        if (wanted != asked.end()) return same_value(each.name, each.value, wanted->second);
        const double *otherwise = any ? nullptr : default_of(bundle, graph.side, each.name);
        return otherwise == nullptr || same_value(each.name, each.value, *otherwise);
    });
}

template <class Texts>
std::string joined(const Texts &texts, const char *between) {
    std::string all;
    for (const std::string &text : texts) all += (all.empty() ? "" : between) + text;
    return all;
}

std::string list(const std::vector<const ec_graph *> &graphs, const std::string &knob) {
    std::vector<std::string> texts;
    for (const double value : baked_values(graphs, knob.c_str())) texts.push_back(decimal(value));
    return joined(texts, ", ");
}

std::string range(const ec_knob &knob) { return decimal(knob.low) + " to " + decimal(knob.high); }

std::vector<const ec_graph *> graphs_of_side(const ec_bundle_info &bundle, ec_side side) {
    std::vector<const ec_graph *> graphs;
    std::copy_if(bundle.graphs, bundle.graphs + bundle.graph_count, std::back_inserter(graphs),
                 [&](const ec_graph *graph) { return graph->side == side; });
    return graphs;
}

// Values that the graphs of a side take, by knob: "-2 to 2" or "0, 1.5, 4".
std::map<std::string, std::string> offers_of(const ec_bundle_info &bundle, ec_side side) {
    const std::vector<const ec_graph *> graphs = graphs_of_side(bundle, side);
    std::map<std::string, std::string> offers;
    for (const ec_graph *graph : graphs) {
        for (size_t i = 0; i < graph->knob_count; ++i) {
            const std::string knob = graph->knobs[i].name;
            if (offers.count(knob) == 0) offers[knob] = list(graphs, knob);
        }
        for (const ec_knob *knob : inputs_of(*graph, bundle)) offers[knob->name] = range(*knob);
    }
    // The file carries it, so a decoder cannot be asked for another.
    if (side == EC_DECODE) offers.erase(QUALITY);
    return offers;
}

// "n (-2 to 2) and quality (0, 1.5, 4) to encode"
std::string words(const std::map<std::string, std::string> &offers, ec_side side) {
    std::vector<std::string> texts;
    for (const auto &[knob, values] : offers) texts.push_back(knob + " (" + values + ")");
    return joined(texts, " and ") + " to " + verb(side);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Letters beyond ASCII, which Python's identifiers may have, are bytes from 0x80 here.
bool is_identifier(const std::string &name) {
    const auto is_letter = [](unsigned char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
    };
    return !name.empty() && !is_digit(name[0]) &&
           std::all_of(name.begin(), name.end(), [&](char c) { return is_letter(c) || is_digit(c); });
}

// As Python writes a text in quotes.
std::string quoted(const std::string &text) {
    constexpr char kDigits[] = "0123456789abcdef";
    const char quote = text.find('\'') != std::string::npos && text.find('"') == std::string::npos ? '"' : '\'';
    std::string all(1, quote);
    for (const char c : text) {
        const unsigned char byte = c;
        if (c == quote || c == '\\') {
            all += {'\\', c};
        } else if (c == '\n') {
            all += "\\n";
        } else if (c == '\r') {
            all += "\\r";
        } else if (c == '\t') {
            all += "\\t";
        } else if (byte < 0x20 || byte == 0x7F) {
            all += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
        } else {
            all += c;
        }
    }
    return all + quote;
}

// For a hint: the values of the first knob whose value was not exported, or else all exported points.
std::string exported(const std::vector<const ec_graph *> &graphs, const KnobValues &asked) {
    for (const auto &[knob, value] : asked) {
        const std::vector<double> values = baked_values(graphs, knob.c_str());
        const bool found = std::any_of(values.begin(), values.end(), [&, &name = knob, wanted = value](double each) {
            return same_value(name, wanted, each);
        });
        if (!values.empty() && !found) return knob + " " + list(graphs, knob);
    }
    std::set<std::string> points;
    for (const ec_graph *graph : graphs) points.insert(describe(knob_values(graph->knobs, graph->knob_count)));
    return joined(points, ", ");
}

}  // namespace

KnobValues knob_values(const ec_knob_value *values, size_t count) {
    if (values == nullptr && count > 0) throw Failure(EC_INVALID_ARGUMENT, "the values are missing").at("knobs");
    KnobValues named;
    std::set<std::string> twice;
    for (size_t i = 0; i < count; ++i) {
        if (values[i].name == nullptr) {
            throw Failure(EC_INVALID_ARGUMENT, "value " + std::to_string(i) + " has no name")
                .at("knobs")
                .advising("give values by name");
        }
        if (!named.emplace(values[i].name, values[i].value).second) twice.insert(values[i].name);
    }
    if (!twice.empty()) {
        throw Failure(EC_INVALID_ARGUMENT, joined(twice, " and ") + " given twice")
            .at("knobs")
            .advising("give each knob once");
    }
    return named;
}

void check_known(const ec_bundle_info &bundle, ec_side side, const KnobValues &asked) {
    const std::map<std::string, std::string> own = offers_of(bundle, side);
    std::vector<std::string> unknown;
    for (const auto &[knob, value] : asked) {
        if (own.count(knob) == 0) unknown.push_back(is_identifier(knob) ? knob : quoted(knob));
    }
    if (unknown.empty()) return;
    std::vector<std::string> sides;
    for (const ec_side each : {EC_ENCODE, EC_DECODE}) {
        const std::map<std::string, std::string> offers = offers_of(bundle, each);
        if (!offers.empty()) sides.push_back(words(offers, each));
    }
    throw Failure(EC_KNOB_UNAVAILABLE, std::string(verb(side)) + " takes no " + joined(unknown, " and no "))
        .advising(sides.empty() ? "the bundle has no knobs" : "the knobs are " + joined(sides, ", "));
}

std::vector<const ec_graph *> graphs_of(const ec_bundle_info &bundle, ec_side side, uint32_t model,
                                        const char *precision) {
    std::vector<const ec_graph *> found;
    std::set<std::string> precisions;
    for (size_t i = 0; i < bundle.graph_count; ++i) {
        const ec_graph *graph = bundle.graphs[i];
        if (graph->side != side || graph->model != model) continue;
        precisions.insert(graph->precision);
        if (precision == nullptr || std::strcmp(graph->precision, precision) == 0) found.push_back(graph);
    }
    if (found.empty() && !precisions.empty()) {
        throw Failure(EC_KNOB_UNAVAILABLE, std::string("nothing was exported in ") + precision)
            .advising("the bundle has " + joined(precisions, ", "));
    }
    return found;
}

const ec_graph &choose_graph(const ec_bundle_info &bundle, const std::vector<const ec_graph *> &graphs,
                             const KnobValues &asked, bool any) {
    const auto found = std::find_if(graphs.begin(), graphs.end(),
                                    [&](const ec_graph *graph) { return matches(*graph, bundle, asked, any); });
    if (found == graphs.end()) {
        throw Failure(EC_KNOB_UNAVAILABLE, "nothing was exported for " + describe(asked))
            .advising("the bundle has " + exported(graphs, asked));
    }
    return **found;
}

std::vector<double> baked_values(const std::vector<const ec_graph *> &graphs, const char *knob) {
    std::set<double> values;
    for (const ec_graph *graph : graphs) {
        if (const ec_knob_value *value = baked(*graph, knob)) values.insert(value->value);
    }
    return {values.begin(), values.end()};
}

double input_value(const ec_knob &knob, const KnobValues &asked) {
    const auto wanted = asked.find(knob.name);
    const double value = wanted != asked.end() ? wanted->second : knob.default_value;
    if (!(knob.low <= value && value <= knob.high)) {
        throw Failure(EC_KNOB_UNAVAILABLE, std::string(knob.name) + "=" + decimal(value) + " is out of range")
            .advising("the bundle takes " + range(knob));
    }
    return value;
}

double quantised_quality(double quality) { return std::nearbyint(quality * kQualitySteps) / kQualitySteps; }

std::string describe(const KnobValues &knobs) {
    std::vector<std::string> texts;
    for (const auto &[knob, value] : knobs) texts.push_back(knob + "=" + decimal(value));
    return texts.empty() ? "no knobs" : joined(texts, " ");
}

std::string decimal(double value) { return shortest_text(value); }

}  // namespace edgecodec
