#include "runtime/available_memory.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string_view>

#include "support/number_text.h"

#if defined(__unix__) || defined(__APPLE__)
#include <sys/resource.h>
#endif

namespace edgecodec {

namespace {

constexpr size_t kMaxText = 1 << 16;  // bytes; the files that are read here have a few thousand
constexpr char kSpace[] = " \t\n\r\f\v";

// What control groups call things. droppable: files in memory that are also on the disk, of memory.stat.
struct Names {
    const char *limit, *used, *droppable;
};

constexpr Names kVersion1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
constexpr Names kVersion2{"memory.max", "memory.current", "inactive_file"};

// The beginning of a small file; nothing where it cannot be read.
std::optional<std::string> text_of(const std::string &path) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE *)> file(std::fopen(path.c_str(), "rb"), std::fclose);
    if (file == nullptr) return std::nullopt;
    std::string text(kMaxText, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), file.get()));
    if (std::ferror(file.get()) != 0) return std::nullopt;
    return text;
}

// Up to and without the first `end`, and removes both.
std::string_view take_until(std::string_view &text, char end) {
    const size_t length = std::min(text.find(end), text.size());
    const std::string_view taken = text.substr(0, length);
    text.remove_prefix(std::min(length + 1, text.size()));
    return taken;
}

// The next word between spaces, removed from the text; empty at its end.
std::string_view take_word(std::string_view &text) {
    text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
    const size_t length = std::min(text.find_first_of(kSpace), text.size());
    const std::string_view word = text.substr(0, length);
    text.remove_prefix(length);
    return word;
}

std::optional<uint64_t> number(std::string_view digits) {
    uint64_t value = 0;
    const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (problem != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return value;
}

// All there is in a file, as a number.
std::optional<uint64_t> number_in(const std::string &path) {
    const std::optional<std::string> text = text_of(path);
    if (!text) return std::nullopt;
    std::string_view rest = *text;
    const std::string_view word = take_word(rest);
    return take_word(rest).empty() ? number(word) : std::nullopt;
}

// The number after `name` at the beginning of a line, times `unit`.
std::optional<uint64_t> field(const std::string &path, std::string_view name, uint64_t unit) {
    const std::optional<std::string> text = text_of(path);
    if (!text) return std::nullopt;
    for (std::string_view rest = *text; !rest.empty();) {
        std::string_view line = take_until(rest, '\n');
        if (take_word(line) != name) continue;
        const std::optional<uint64_t> value = number(take_word(line));
        if (!value || *value > UINT64_MAX / unit) return std::nullopt;
        return *value * unit;
    }
    return std::nullopt;
}

uint64_t left_of(uint64_t limit, uint64_t used) { return limit - std::min(limit, used); }

// Keeps the least of the amounts that are known.
class Least {
public:
    void add(std::optional<uint64_t> amount) {
        if (amount && (!least_ || *amount < *least_)) least_ = amount;
    }
    std::optional<uint64_t> value() const { return least_; }

private:
    std::optional<uint64_t> least_;
};

std::optional<uint64_t> left_in_group(const std::string &group, const Names &names) {
    const std::optional<uint64_t> limit = number_in(group + "/" + names.limit);
    if (!limit) return std::nullopt;  // no such group, or its limit is the word "max"
    const std::optional<uint64_t> used = number_in(group + "/" + names.used);
    if (!used) return std::nullopt;
    const uint64_t droppable = field(group + "/memory.stat", names.droppable, 1).value_or(0);
    return left_of(droppable > UINT64_MAX - *limit ? UINT64_MAX : *limit + droppable, *used);
}

// What the group at `path` and each of those around it leave. Inside a container the path is often the host's: what does
// not exist here is passed over, and the root remains.
void add_groups(Least &least, const std::string &root, std::string_view path, const Names &names) {
    path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
    for (; !path.empty(); path = path.substr(0, std::min(path.rfind('/'), path.size()))) {
        least.add(left_in_group(root + "/" + std::string(path), names));
        if (path.find('/') == std::string_view::npos) break;
    }
    least.add(left_in_group(root, names));
}

bool has_item(std::string_view list, std::string_view item) {
    while (!list.empty()) {
        if (take_until(list, ',') == item) return true;
    }
    return false;
}

void add_control_groups(Least &least, const std::string &root) {
    const std::string groups = root + "/sys/fs/cgroup";
    const std::optional<std::string> membership = text_of(root + "/proc/self/cgroup");
    if (!membership) return;
    for (std::string_view rest = *membership; !rest.empty();) {
        std::string_view line = take_until(rest, '\n');
        const std::string_view hierarchy = take_until(line, ':');
        const std::string_view controllers = take_until(line, ':');
        if (hierarchy == "0") {
            add_groups(least, groups, line, kVersion2);
        } else if (has_item(controllers, "memory")) {
            add_groups(least, groups + "/memory", line, kVersion1);
        }
    }
}

// What each limit of this process leaves (ulimit -v and -d).
void add_process_limits(Least &least, const std::string &root) {
#if defined(__unix__) || defined(__APPLE__)
    const std::string status = root + "/proc/self/status";
    rlimit allowed;
    if (getrlimit(RLIMIT_AS, &allowed) == 0 && allowed.rlim_cur != RLIM_INFINITY) {
        if (const auto used = field(status, "VmSize:", 1 << 10)) least.add(left_of(allowed.rlim_cur, *used));
    }
    if (getrlimit(RLIMIT_DATA, &allowed) == 0 && allowed.rlim_cur != RLIM_INFINITY) {
        if (const auto used = field(status, "VmData:", 1 << 10)) least.add(left_of(allowed.rlim_cur, *used));
    }
#else
    static_cast<void>(least);
    static_cast<void>(root);
#endif
}

}  // namespace

std::optional<uint64_t> available_memory(const std::string &root) {
    Least least;
    least.add(field(root + "/proc/meminfo", "MemAvailable:", 1 << 10));
    add_control_groups(least, root);
    add_process_limits(least, root);
    return least.value();
}

std::string memory_words(double bytes) {
    constexpr double kKilo = 1 << 10, kMega = 1 << 20, kGiga = 1 << 30;
    const double unit = bytes >= kGiga ? kGiga : bytes >= kMega ? kMega : kKilo;
    return general_text(std::ceil(10 * bytes / unit) / 10) + (unit == kGiga ? " GB" : unit == kMega ? " MB" : " KB");
}

}  // namespace edgecodec
