// The step *context*: symbols of a finite alphabet, each with the table that its neighbours to the left and above
// choose. With a limit for each position it codes prefixes of channels, or a region.
#include <algorithm>

#include "model/step_reader.h"

namespace edgecodec {
namespace {

constexpr unsigned kMaxSymbols = 64;

struct Alphabet {
    int16_t lowest;
    unsigned symbols;

    bool holds(int value) const { return value >= lowest && value < lowest + static_cast<int>(symbols); }
};

class ContextStep final : public EntropyStep {
public:
    struct Tables {
        const CodingTables &set;
        bool ends;
        std::vector<uint16_t> of_context;  // [1 + ends][channels][symbols + 1][symbols + 1]
    };

    ContextStep(size_t tensor, Alphabet alphabet, Tables tables, std::optional<size_t> limit,
                std::optional<size_t> prefix_of)
        : tensor_(tensor), alphabet_(alphabet), tables_(std::move(tables)), limit_(limit), prefix_of_(prefix_of) {}

    void decode(Workspace &workspace, RansDecoder &decoder, bool last) const override {
        int16_t *const planes = workspace.new_planes(tensor_);
        decoder.begin(symbols(workspace), last);
        walk(workspace, planes, [&](size_t place, size_t table) {
            const int16_t value = decoder.decode_symbol(tables_.set.view(), table);
            if (!alphabet_.holds(value)) throw Failure(EC_CORRUPT, "holds a symbol outside its alphabet");
            planes[place] = value;
        });
    }

    void encode(Workspace &workspace, RansEncoder &encoder) const override {
        if (prefix_of_) count_prefixes(workspace);
        const int16_t *const latent = workspace.planes(tensor_);
        const std::vector<int16_t> symbols(latent, latent + workspace.extent(tensor_).values());
        int16_t *const planes = workspace.new_planes(tensor_);
        encoder.begin();
        walk(workspace, planes, [&](size_t place, size_t table) {
            const int16_t value = symbols[place];
            if (!alphabet_.holds(value)) {
                throw Failure(EC_OUT_OF_RANGE, "latent " + std::to_string(value) + " is not of the model's alphabet, " +
                                                   std::to_string(alphabet_.lowest) + " and " +
                                                   std::to_string(alphabet_.symbols - 1) + " more");
            }
            encoder.add_symbol(tables_.set.view(), table, value);
            planes[place] = value;
        });
    }

private:
    // The number of symbols that are coded.
    size_t symbols(Workspace &workspace) const {
        const Extent extent = workspace.extent(tensor_);
        if (!limit_) return extent.values();
        const int16_t *const limit = workspace.planes(*limit_);
        size_t count = 0;
        for (size_t i = 0; i < extent.positions(); ++i) {
            count += static_cast<size_t>(std::clamp<int>(limit[i], 0, static_cast<int>(extent.channels)));
        }
        return count;
    }

    // Calls code(place in the planes, table), which sets the value there, for every symbol. Other values become 0.
    template <class Code>
    void walk(Workspace &workspace, int16_t *planes, Code &&code) const {
        const Extent extent = workspace.extent(tensor_);
        const int16_t *const limits = limit_ ? workspace.planes(*limit_) : nullptr;
        const int channels = static_cast<int>(extent.channels);
        const size_t contexts = alphabet_.symbols + 1;
        for (size_t y = 0; y < extent.rows; ++y) {
            for (size_t x = 0; x < extent.columns; ++x) {
                const size_t position = y * extent.columns + x;
                const int limit = limits == nullptr ? channels : limits[position];
                const int limit_left = limits == nullptr || x == 0 ? channels : limits[position - 1];
                const int limit_above = limits == nullptr || y == 0 ? channels : limits[position - extent.columns];
                for (int channel = 0; channel < channels; ++channel) {
                    const size_t place = static_cast<size_t>(channel) * extent.positions() + position;
                    if (channel >= limit) {
                        planes[place] = 0;
                        continue;
                    }
                    const size_t left = x > 0 && channel < limit_left ? context(planes[place - 1]) : alphabet_.symbols;
                    const size_t above =
                        y > 0 && channel < limit_above ? context(planes[place - extent.columns]) : alphabet_.symbols;
                    const size_t end = tables_.ends && channel == limit - 1 ? extent.channels : 0;
                    const size_t row = (end + static_cast<size_t>(channel)) * contexts + left;
                    code(place, tables_.of_context[row * contexts + above]);
                }
            }
        }
    }

    size_t context(int16_t value) const { return static_cast<size_t>(value - alphabet_.lowest); }

    void count_prefixes(Workspace &workspace) const {
        const Extent extent = workspace.extent(*prefix_of_);
        const int16_t *const planes = workspace.planes(*prefix_of_);
        int16_t *const counts = workspace.new_planes(tensor_);
        for (size_t i = 0; i < extent.positions(); ++i) {
            size_t count = extent.channels;
            while (count > 0 && planes[(count - 1) * extent.positions() + i] == 0) --count;
            counts[i] = static_cast<int16_t>(count);
        }
    }

    size_t tensor_;
    Alphabet alphabet_;
    Tables tables_;
    std::optional<size_t> limit_, prefix_of_;
};

}  // namespace

std::unique_ptr<EntropyStep> read_context_step(StepReader &reader) {
    const size_t tensor = reader.bytes.u16();
    const CodingTables &set = reader.read_table_set();
    Alphabet alphabet;
    alphabet.lowest = reader.bytes.i16();
    alphabet.symbols = reader.bytes.u8();
    if (alphabet.symbols < 1 || alphabet.symbols > kMaxSymbols ||
        alphabet.lowest > INT16_MAX - static_cast<int>(kMaxSymbols - 1)) {
        reader.fail("has an alphabet out of range");
    }
    const std::optional<size_t> limit = reader.read_optional_source();
    std::optional<size_t> prefix_of;
    const size_t whole = reader.bytes.u16();
    if (whole == StepReader::kNoTensor) {
        reader.require_coded(tensor);
    } else {
        prefix_of = whole;
        reader.require_prefix(tensor, whole);
        if (alphabet.lowest > 0 || !alphabet.holds(static_cast<int>(reader.shape(whole).channels))) {
            reader.fail("has an alphabet that does not hold all prefix lengths");
        }
    }
    const ModelTensor &shape = reader.shape(tensor);
    if (limit) {
        if (reader.shape(*limit).channels != 1 || reader.shape(*limit).stride != shape.stride) {
            reader.fail("has limits of another shape");
        }
        if (!alphabet.holds(0)) reader.fail("has limits, but an alphabet without 0");
        reader.note_limits(*limit, tensor);
    }
    const unsigned ends = reader.bytes.u8();
    if (ends > 1 || (ends == 1 && !limit)) reader.fail("has ends without limits");
    const size_t contexts = alphabet.symbols + 1;
    std::vector<uint16_t> of_context = reader.bytes.u16s((1 + ends) * shape.channels * contexts * contexts);
    const auto named = [&](uint16_t table) { return table < set.size(); };
    if (!std::all_of(of_context.begin(), of_context.end(), named)) reader.fail("has contexts that name no table");
    reader.define(tensor,
                  {alphabet.lowest, static_cast<int16_t>(alphabet.lowest + static_cast<int>(alphabet.symbols) - 1)});
    return std::make_unique<ContextStep>(tensor, alphabet, ContextStep::Tables{set, ends == 1, std::move(of_context)},
                                         limit, prefix_of);
}

}  // namespace edgecodec
