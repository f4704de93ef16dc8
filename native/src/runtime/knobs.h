// Which baked graph belongs to which knobs. Most knobs are folded into weights: only exported values exist.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "edgecodec/edgecodec.h"

namespace edgecodec {

// Values by name, in alphabetical order.
using KnobValues = std::map<std::string, double>;

// The one knob that a coded picture carries, because encoder and decoder must agree on it.
constexpr char QUALITY[] = "quality";

// Of a caller. Throws Failure(EC_INVALID_ARGUMENT) for a value without a name, and for a name that is given twice.
KnobValues knob_values(const ec_knob_value *values, size_t count);

// Throws Failure(EC_KNOB_UNAVAILABLE), with a list of the knobs, for a knob that no graph of this side has. A decoder
// cannot be asked for a quality, which the file carries.
void check_known(const ec_bundle_info &bundle, ec_side side, const KnobValues &asked);

// The graphs of one side and model, in the bundle's order, of one precision; NULL for all of them. Throws
// Failure(EC_KNOB_UNAVAILABLE) where there are none of that precision.
std::vector<const ec_graph *> graphs_of(const ec_bundle_info &bundle, ec_side side, uint32_t model,
                                        const char *precision);

// The first graph that was baked at the values that are asked for, and at the defaults for every other knob; or at any
// value of these, where `any` says so. Throws Failure(EC_KNOB_UNAVAILABLE), with what there is.
const ec_graph &choose_graph(const ec_bundle_info &bundle, const std::vector<const ec_graph *> &graphs,
                             const KnobValues &asked, bool any = false);

// The values that a knob was baked at in these graphs, ascending.
std::vector<double> baked_values(const std::vector<const ec_graph *> &graphs, const char *knob);

// What an input of a graph gets for a knob that is not baked: the value that is asked for, or the default. Throws
// Failure(EC_KNOB_UNAVAILABLE) for one out of range.
double input_value(const ec_knob &knob, const KnobValues &asked);

// The nearest quality that a file can hold, in steps of 1/64, halves to even.
double quantised_quality(double quality);

// For messages: "alpha=0.5 beta=3.84", or "no knobs".
std::string describe(const KnobValues &knobs);

// The shortest decimal that reads back as this very value, as Python writes it: "2", "1.296875", "1e+16".
std::string decimal(double value);

}  // namespace edgecodec
