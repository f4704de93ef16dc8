// Decodes the golden pictures with every set of kernels of this processor and 1 and 2 threads, compares their latents
// with the listed digests, and encodes them again to the same bytes if an encoder needs nothing else. Uses the C
// interface only, so that it runs on machines without Python.
//
//     golden FOLDER
//
// Prints the digests that it found. The exit status is 1 if anything differs.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "core_calls.h"

namespace {

using Bytes = std::vector<uint8_t>;

// A line of digests.txt, which describes its fields.
struct Golden {
    std::string picture, model;
    bool own;
    std::vector<std::string> digests;
};

Bytes read(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path + " cannot be read");
    return Bytes(std::istreambuf_iterator<char>(file), {});
}

std::vector<Golden> listed(const std::string &path) {
    std::ifstream file(path);
    std::vector<Golden> all;
    for (std::string line; std::getline(file, line);) {
        if (line.empty() || line[0] == '#') continue;
        std::istringstream fields(line);
        Golden golden;
        std::string writer;
        fields >> golden.picture >> golden.model >> writer;
        golden.own = writer == "own";
        for (std::string digest; fields >> digest;) golden.digests.push_back(digest);
        all.push_back(golden);
    }
    if (all.empty()) throw std::runtime_error(path + " lists nothing");
    return all;
}

// The tensors that an encoder takes, or those that a decoder returns.
using Describe = ec_status (*)(const ec_core_model *, uint32_t, ec_core_tensor *);

std::vector<ec_core_tensor> tensors(const ec_core_model *model, uint32_t count, Describe describe) {
    std::vector<ec_core_tensor> all(count);
    for (uint32_t i = 0; i < count; ++i) describe(model, i, &all[i]);
    return all;
}

// CRC-32 of the values in little-endian order, whatever the machine.
std::string digest(const char *name, const std::vector<int16_t> &values) {
    Bytes bytes;
    for (const int16_t value : values) {
        bytes.push_back(static_cast<uint8_t>(value & 255));
        bytes.push_back(static_cast<uint8_t>(value >> 8 & 255));
    }
    char number[16];
    std::snprintf(number, sizeof number, "=%08x", static_cast<unsigned>(ec_core_crc32(bytes.data(), bytes.size())));
    return name + std::string(number);
}

// A parsed picture and its opened model. Models are opened after the kernels are chosen, because their layout depends
// on the kernels.
class Coded {
public:
    Coded(const std::string &folder, const Golden &golden) : file_(read(folder + "/" + golden.picture)) {
        call(ec_core_container_parse, file_.data(), file_.size(), &head_);
        const Bytes model = read(folder + "/" + golden.model);
        ec_core_model *opened = nullptr;
        call(ec_core_model_open, model.data(), model.size(), &opened);
        model_.reset(opened);
        if (ec_core_model_id(opened) != head_.model_id) throw std::runtime_error("was coded with another model");

        const uint32_t alignment = ec_core_model_alignment(opened);
        decoder_latents_ = tensors(opened, ec_core_model_decoder_latent_count(opened), ec_core_model_decoder_latent);
        encoder_latents_ = tensors(opened, ec_core_model_encoder_latent_count(opened), ec_core_model_encoder_latent);
        for (const ec_core_tensor &tensor : decoder_latents_) {
            const auto side = [&](size_t pixels) {
                return (pixels + alignment - 1) / alignment * (alignment / tensor.stride);
            };
            latents_.emplace_back(tensor.channels * side(head_.height) * side(head_.width));
        }
        for (std::vector<int16_t> &latent : latents_) addresses_.push_back(latent.data());
    }

    std::vector<std::string> decode(uint32_t threads) {
        const uint8_t *payload = file_.data() + head_.payload.offset;
        call(ec_core_decode, model_.get(), head_.width, head_.height, head_.lanes, payload,
             static_cast<size_t>(head_.payload.size), addresses_.data(), threads);
        std::vector<std::string> digests;
        for (size_t i = 0; i < latents_.size(); ++i) digests.push_back(digest(decoder_latents_[i].name, latents_[i]));
        return digests;
    }

    // Whether encoding the decoded latents gives the file's bytes. The encoder latents may have other names, and other
    // values that round to the same symbols.
    bool encodes_to_itself(uint32_t threads) const {
        const auto same_shape = [](const ec_core_tensor &a, const ec_core_tensor &b) {
            return a.channels == b.channels && a.stride == b.stride;
        };
        if (!std::equal(decoder_latents_.begin(), decoder_latents_.end(), encoder_latents_.begin(),
                        encoder_latents_.end(), same_shape)) {
            throw std::runtime_error("an encoder takes other tensors than a decoder returns");
        }
        Bytes payload(ec_core_encode_bound(model_.get(), head_.width, head_.height));
        uint32_t lanes = head_.lanes;
        size_t written = 0;
        call(ec_core_encode, model_.get(), head_.width, head_.height, &lanes, addresses_.data(), payload.data(),
             payload.size(), &written, threads);

        ec_core_container head = head_;
        head.payload.size = written;
        std::vector<const uint8_t *> sections;
        for (uint32_t i = 0; i < head.section_count; ++i) sections.push_back(file_.data() + head.section[i].offset);
        Bytes file(file_.size() + written);
        call(ec_core_container_write, &head, sections.data(), payload.data(), file.data(), file.size(), &written);
        file.resize(written);
        return file == file_;
    }

private:
    struct Close {
        void operator()(ec_core_model *model) const { ec_core_model_close(model); }
    };

    Bytes file_;
    ec_core_container head_{};
    std::unique_ptr<ec_core_model, Close> model_;
    std::vector<ec_core_tensor> decoder_latents_, encoder_latents_;
    std::vector<std::vector<int16_t>> latents_;
    std::vector<int16_t *> addresses_;
};

// Prints the digests, and returns whether they are as listed.
bool check(const std::string &folder, const Golden &golden, const std::string &kernels, uint32_t threads) {
    std::printf("%s, threads %u: %s", kernels.c_str(), static_cast<unsigned>(threads), golden.picture.c_str());
    std::string problem;
    try {
        Coded coded(folder, golden);
        const std::vector<std::string> digests = coded.decode(threads);
        for (const std::string &digest : digests) std::printf(" %s", digest.c_str());
        if (digests != golden.digests) {
            problem = "the latents differ, expected";
            for (const std::string &digest : golden.digests) problem += " " + digest;
        } else if (golden.own && !coded.encodes_to_itself(threads)) {
            problem = "coded again, the bytes differ";
        }
    } catch (const std::exception &failure) {
        problem = failure.what();
    }
    std::printf(problem.empty() ? "\n" : " WRONG: %s\n", problem.c_str());
    return problem.empty();
}

}  // namespace

int main(int count, char **arguments) {
    if (count != 2) {
        std::fprintf(stderr, "usage: golden FOLDER\n");
        return 2;
    }
    try {
        const std::string folder = arguments[1];
        const std::vector<Golden> goldens = listed(folder + "/digests.txt");
        size_t wrong = 0;
        for (const std::string &kernels : available_kernels()) {
            call(ec_core_kernels_force, kernels.c_str());
            for (const uint32_t threads : {1u, 2u}) {
                for (const Golden &golden : goldens) wrong += !check(folder, golden, kernels, threads);
            }
        }
        std::printf("%zu pictures with kernels %s: %zu wrong\n", goldens.size(), ec_core_kernels_available(), wrong);
        return wrong == 0 ? 0 : 1;
    } catch (const std::exception &failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
}
