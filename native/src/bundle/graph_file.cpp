#include "bundle/graph_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>

#include "bundle/onnx_fields.h"
#include "bundle/wire_reader.h"
#include "support/status.h"

namespace edgecodec {

namespace {

using onnx::Field;
using onnx::Kind;
using onnx::Message;

constexpr size_t kLargestGraph = INT32_MAX;  // bytes; protocol buffers end there
constexpr size_t kDeepest = 64;              // messages inside each other; protocol buffers allow 100
constexpr size_t kMostDimensions = 8;
constexpr size_t kMostDefinitions = 1 << 20;  // a bound on the memory of this reader; graphs have some thousands
constexpr size_t kLongestLocation = 255;      // bytes
constexpr size_t kLongestPlaceShown = 96;     // bytes, so that a message has room for the problem

// data_location of a tensor.
constexpr uint64_t kInGraph = 0, kElsewhere = 1;

constexpr uint64_t kLastAttributeType = 14;  // TYPE_PROTOS

// Bytes of a value by data_type of onnx.proto; 0 for text, for what is smaller than a byte, and for types that NumPy and
// older engines do not know.
constexpr uint8_t kValueSizes[] = {0, 4, 1, 1, 2, 2, 4, 8, 0, 1, 2, 8, 4, 8, 8, 16, 2};

// What is known of the tensor that is being read. Tensors do not contain tensors.
struct Tensor {
    std::string_view name;
    std::vector<int64_t> dimensions;  // up to kMostDimensions + 1
    uint64_t data_type = 0;
    bool elsewhere = false;
    bool has_values = false;
    std::optional<std::string_view> location, offset, length;
    bool has_entries = false;
};

struct Frame {
    Message message;
    size_t start, end;                                 // bytes in the file
    const Field *field;                                // of the frame around it that holds it; nullptr for the model
    uint32_t index;                                    // among that field's values
    std::array<uint32_t, onnx::kMostFields> counts{};  // how often each field has occurred
};

struct Definition {
    std::string_view name;
    size_t offset;
};

class GraphReader {
public:
    GraphReader(const uint8_t *data, size_t size) : data_(data), size_(size), reader_(data) {}

    std::vector<WeightsElsewhere> read() {
        try {
            walk();
        } catch (const Malformed &malformed) {
            fail("is not an ONNX graph: " + place() + ": " + malformed.problem, malformed.offset);
        }
        check_definitions();
        return std::move(weights_);
    }

private:
    void walk() {
        if (size_ > kLargestGraph) throw Malformed{"it is larger than 2 GiB", 0};
        // ONNX Runtime takes bytes with this mark for a file of its own format, whatever else they are.
        if (size_ >= 8 && std::memcmp(data_ + 4, "ORTM", 4) == 0) throw Malformed{"it is in ONNX Runtime's format", 4};
        frames_.reserve(kDeepest);
        frames_.push_back({Message::model, 0, size_, nullptr, 0});
        // The frames are a stack of their own, so that no file can exhaust the thread's.
        while (!frames_.empty()) {
            if (reader_.position() < frames_.back().end) {
                read_field(frames_.back());
            } else {
                leave(frames_.back());
                frames_.pop_back();
            }
        }
    }

    void read_field(Frame &frame) {
        const size_t start = reader_.position();
        const Tag tag = reader_.tag(frame.end);
        int index = 0;
        const Field *field = find_field(frame.message, tag.number, &index);
        if (field == nullptr) throw Malformed{"it has an unknown field " + std::to_string(tag.number), start};
        const uint32_t count = frame.counts[static_cast<size_t>(index)]++;
        // Readers take the last of several values, or the first, or merge them.
        if (!field->repeated && count > 0) throw Malformed{std::string("it has ") + field->name + " twice", start};
        if (frame.message == Message::tensor && onnx::holds_values(field->number)) tensor_.has_values = true;
        if (field->kind == Kind::message) {
            if (tag.type != WireType::sized) wrong_type(*field, start);
            enter(*field, count);
        } else if (field->kind == Kind::bytes) {
            if (tag.type != WireType::sized) wrong_type(*field, start);
            const size_t size = reader_.size(frame.end);
            const char *text = reinterpret_cast<const char *>(data_ + reader_.position());
            reader_.skip(size, frame.end);
            note_text(frame, *field, {text, size}, start);
        } else if (tag.type == WireType::sized && field->repeated) {
            const size_t size = reader_.size(frame.end);  // before the position that it moves
            const size_t end = reader_.position() + size;
            while (reader_.position() < end) read_number(frame, *field, end);
        } else {
            if (tag.type != wire_type(field->kind)) wrong_type(*field, start);
            read_number(frame, *field, frame.end);
        }
    }

    void read_number(const Frame &frame, const Field &field, size_t end) {
        const size_t start = reader_.position();
        if (field.kind == Kind::float32 || field.kind == Kind::float64) {
            reader_.skip(field.kind == Kind::float32 ? 4 : 8, end);
            return;
        }
        const uint64_t value = reader_.varint(end);
        // A negative number is extended to 64 bits.
        if (field.kind == Kind::int32 && value > INT32_MAX && value < static_cast<uint64_t>(int64_t{INT32_MIN})) {
            throw Malformed{std::string(field.name) + " is larger than 32 bits", start};
        }
        if (frame.message == Message::attribute && field.number == onnx::kAttributeType && value > kLastAttributeType) {
            throw Malformed{"type is unknown", start};
        }
        if (frame.message == Message::tensor) note_tensor_number(field, value, start);
    }

    static WireType wire_type(Kind kind) {
        if (kind == Kind::float32) return WireType::four_bytes;
        return kind == Kind::float64 ? WireType::eight_bytes : WireType::varint;
    }

    [[noreturn]] static void wrong_type(const Field &field, size_t offset) {
        throw Malformed{std::string(field.name) + " is of another wire type", offset};
    }

    void enter(const Field &field, uint32_t index) {
        const size_t start = reader_.position();
        if (frames_.size() == kDeepest) throw Malformed{"it is nested too deeply", start};
        const size_t size = reader_.size(frames_.back().end);
        frames_.push_back({field.message, reader_.position(), reader_.position() + size, &field, index});
        if (field.message == Message::tensor) tensor_ = {};
        if (field.message == Message::entry) key_ = value_ = {};
    }

    void leave(const Frame &frame) {
        if (frame.message == Message::model && !has_graph_) throw Malformed{"it has no graph", frame.end};
        if (frame.message == Message::graph && frames_.size() == 2) has_graph_ = true;
        if (frame.message == Message::entry) note_entry(frame);
        if (frame.message == Message::tensor) note_tensor(frame);
    }

    // ---- what the fields say ----

    void note_tensor_number(const Field &field, uint64_t value, size_t offset) {
        if (field.number == onnx::kTensorDimensions && tensor_.dimensions.size() <= kMostDimensions) {
            tensor_.dimensions.push_back(static_cast<int64_t>(value));
        } else if (field.number == onnx::kTensorType) {
            tensor_.data_type = value;
        } else if (field.number == onnx::kTensorDataLocation) {
            if (value != kInGraph && value != kElsewhere) throw Malformed{"data_location is unknown", offset};
            tensor_.elsewhere = value == kElsewhere;
        }
    }

    void note_text(const Frame &frame, const Field &field, std::string_view text, size_t offset) {
        if (frame.message == Message::tensor && field.number == onnx::kTensorName) tensor_.name = text;
        if (frame.message == Message::entry) (field.number == onnx::kEntryKey ? key_ : value_) = text;
        if (frame.message == Message::node) {
            if (field.number == onnx::kNodeOutput && in_main_graph()) define(text, offset);
            // This operator loads a compiled graph, from a file that one of its attributes names.
            if (field.number == onnx::kNodeOperator && text == "EPContext")
                refuse("is of type EPContext, which loads a file", offset);
        }
    }

    void note_entry(const Frame &frame) {
        if (frames_[frames_.size() - 2].message != Message::tensor || frame.field->number != onnx::kTensorExternalData)
            return;
        tensor_.has_entries = true;
        std::optional<std::string_view> *entry = nullptr;
        if (key_ == "location") entry = &tensor_.location;
        if (key_ == "offset") entry = &tensor_.offset;
        if (key_ == "length") entry = &tensor_.length;
        if (entry == nullptr) refuse("is not location, offset or length", frame.start);
        if (*entry) refuse("is " + std::string(key_) + " for the second time", frame.start);
        *entry = value_;
    }

    void note_tensor(const Frame &frame) {
        const Field &field = *frame.field;
        const bool main_initializer = in_main_graph() && field.number == onnx::kGraphInitializer;
        const bool main_sparse = frames_.size() == 4 && frames_[1].message == Message::graph &&
                                 frames_[2].message == Message::sparse_tensor && field.number == onnx::kSparseValues;
        if (main_initializer || main_sparse) define(tensor_.name, frame.start);
        if (!tensor_.elsewhere) {
            if (tensor_.has_entries) refuse("has external_data, but its data_location is the graph", frame.start);
            return;
        }
        if (!main_initializer) {
            refuse("has its values in another file, as initializers of the main graph alone may", frame.start);
        }
        if (tensor_.name.empty()) refuse("has its values in another file, but no name", frame.start);
        if (tensor_.has_values) refuse("has values in the graph and in another file", frame.start);
        weights_.push_back(weights_of(tensor_, frame.start));
    }

    WeightsElsewhere weights_of(const Tensor &tensor, size_t place) const {
        const std::string_view location = tensor.location.value_or("");
        if (!is_plain_path(location)) {
            refuse("has weights in " + quoted(location) + ", not a path inside the bundle", place);
        }
        const uint64_t size = bytes_of(tensor, place);
        const uint64_t offset = tensor.offset ? decimal(*tensor.offset, "offset", place) : 0;
        if (tensor.length && decimal(*tensor.length, "length", place) != size) {
            refuse("has another length than its dimensions give", place);
        }
        if (offset > INT64_MAX - size) refuse("has an offset beyond 64 bits", place);
        return {location, offset, size, tensor.name, static_cast<int32_t>(tensor.data_type), tensor.dimensions};
    }

    uint64_t bytes_of(const Tensor &tensor, size_t place) const {
        const size_t type = tensor.data_type < sizeof kValueSizes ? static_cast<size_t>(tensor.data_type) : 0;
        uint64_t size = kValueSizes[type];
        if (size == 0) refuse("has weights of type " + std::to_string(tensor.data_type) + " in another file", place);
        if (tensor.dimensions.size() > kMostDimensions) refuse("has more than 8 dimensions", place);
        for (const int64_t side : tensor.dimensions) {
            if (side < 1 || size > static_cast<uint64_t>(INT64_MAX) / static_cast<uint64_t>(side)) {
                refuse("has weights in another file and a dimension of " + std::to_string(side), place);
            }
            size *= static_cast<uint64_t>(side);
        }
        return size;
    }

    uint64_t decimal(std::string_view text, const char *what, size_t place) const {
        constexpr size_t kMostDigits = 18;  // so that every number fits 63 bits
        uint64_t value = 0;
        bool valid = !text.empty() && text.size() <= kMostDigits && (text[0] != '0' || text.size() == 1);
        for (const char digit : text) {
            valid = valid && digit >= '0' && digit <= '9';
            value = valid ? value * 10 + static_cast<uint64_t>(digit - '0') : 0;
        }
        if (!valid) refuse(std::string("has the ") + what + " " + quoted(text), place);
        return value;
    }

    // Relative, in a form that every system reads alike, and free of the marks that engines give a meaning of their own:
    // "*/_ORT_MEM_ADDR_/*" makes ONNX Runtime read memory at the offset.
    static bool is_plain_path(std::string_view path) {
        if (path.size() > kLongestLocation) return false;
        size_t start = 0;
        while (true) {
            const size_t stop = std::min(path.find('/', start), path.size());
            const std::string_view part = path.substr(start, stop - start);
            if (part.empty() || part == "." || part == "..") return false;
            for (const char c : part) {
                const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
                if (!letter && c != '.' && c != '_' && c != '-' && c != '+') return false;
            }
            if (stop == path.size()) return true;
            start = stop + 1;
        }
    }

    // An engine that is given the values of an initializer by its name must not find another of that name.
    void check_definitions() {
        std::sort(definitions_.begin(), definitions_.end(), [](const Definition &a, const Definition &b) {
            return a.name != b.name ? a.name < b.name : a.offset < b.offset;
        });
        for (size_t i = 1; i < definitions_.size(); ++i) {
            const Definition &definition = definitions_[i];
            if (definition.name == definitions_[i - 1].name) {
                fail("is not an ONNX graph: it defines " + quoted(definition.name) + " twice", definition.offset);
            }
        }
    }

    void define(std::string_view name, size_t offset) {
        if (name.empty()) return;  // it stands for an output that is not used
        if (definitions_.size() == kMostDefinitions) throw Malformed{"it defines too many values", offset};
        definitions_.push_back({name, offset});
    }

    // Whether what is being read is a node or an initializer of the graph that runs.
    bool in_main_graph() const { return frames_.size() == 3 && frames_[1].message == Message::graph; }

    // ---- messages ----

    std::string place() const {
        std::string place;
        for (const Frame &frame : frames_) {
            if (frame.field == nullptr) continue;
            if (!place.empty()) place += '.';
            place += frame.field->name;
            if (frame.field->repeated) place += '[' + std::to_string(frame.index) + ']';
        }
        if (place.empty()) return "the model";
        if (place.size() <= kLongestPlaceShown) return place;
        return place.substr(0, kLongestPlaceShown / 2) + "..." + place.substr(place.size() - kLongestPlaceShown / 2);
    }

    static std::string quoted(std::string_view text) {
        constexpr size_t kLongestShown = 64;
        std::string shown = "'";
        for (const char c : text.substr(0, kLongestShown)) shown += c >= ' ' && c <= '~' ? c : '?';
        return shown + (text.size() > kLongestShown ? "...'" : "'");
    }

    [[noreturn]] void refuse(const std::string &problem, size_t offset) const { fail(place() + " " + problem, offset); }

    [[noreturn]] static void fail(const std::string &message, size_t offset) {
        throw Failure(EC_BAD_MODEL, message, static_cast<int64_t>(offset));
    }

    const uint8_t *data_;
    size_t size_;
    WireReader reader_;
    std::vector<Frame> frames_;
    bool has_graph_ = false;
    Tensor tensor_;
    std::string_view key_, value_;  // of the entry that is being read
    std::vector<Definition> definitions_;
    std::vector<WeightsElsewhere> weights_;
};

}  // namespace

std::vector<WeightsElsewhere> read_graph(const uint8_t *data, size_t size) { return GraphReader(data, size).read(); }

}  // namespace edgecodec
