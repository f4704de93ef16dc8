// The calls of ONNX Runtime that are under way, and how they are ended.
//
// Ending them takes no lock, because it may happen in a signal handler that has interrupted a thread which begins or
// finishes a call.
#pragma once

#include <atomic>
#include <thread>

#include "onnxruntime/api.h"

namespace edgecodec::ort {

class Calls {
public:
    // can_end_loads: whether this ONNX Runtime has a way to.
    Calls(const Api &api, bool can_end_loads) : api_(api), can_end_loads_(can_end_loads) {}
    Calls(const Calls &) = delete;
    Calls &operator=(const Calls &) = delete;
    ~Calls() {
        for (Entry *entry = first_; entry != nullptr;) {
            Entry *next = entry->next;
            delete entry;
            entry = next;
        }
    }

private:
    // Entries are used again, and stay in the list until its end.
    struct Entry {
        std::atomic<bool> taken{true}, cancelled{false};
        std::atomic<RunOptions *> run{nullptr};
        std::atomic<SessionOptions *> load{nullptr};
        Entry *next = nullptr;
    };

public:
    // A call that is under way as long as this lives. The options must live longer.
    class Call {
    public:
        Call(Calls &calls, RunOptions *options) : calls_(calls), entry_(calls.take()) { entry_->run = options; }
        Call(Calls &calls, SessionOptions *options) : calls_(calls), entry_(calls.take()) { entry_->load = options; }
        Call(const Call &) = delete;
        Call &operator=(const Call &) = delete;
        ~Call() {
            entry_->run = nullptr;
            entry_->load = nullptr;
            // Whoever has seen the options may be using them.
            while (calls_.cancelling_ > 0) std::this_thread::yield();
            entry_->taken = false;
        }

        bool cancelled() const { return entry_->cancelled; }

    private:
        Calls &calls_;
        Entry *entry_;
    };

    // Asks all of them to end at their next step.
    void cancel() noexcept {
        ++cancelling_;
        for (Entry *entry = first_; entry != nullptr; entry = entry->next) {
            Status *status = nullptr;
            if (RunOptions *run = entry->run) {
                entry->cancelled = true;
                status = api_[RunOptionsSetTerminate](run);
            } else if (SessionOptions *load = entry->load) {
                entry->cancelled = true;
                if (can_end_loads_) status = api_[SessionOptionsSetLoadCancellationFlag](load, true);
            }
            if (status != nullptr) api_[ReleaseStatus](status);
        }
        --cancelling_;
    }

private:
    Entry *take() {
        for (Entry *entry = first_; entry != nullptr; entry = entry->next) {
            if (!entry->taken.exchange(true)) {
                entry->cancelled = false;
                return entry;
            }
        }
        Entry *entry = new Entry;
        entry->next = first_;
        while (!first_.compare_exchange_weak(entry->next, entry)) {
        }
        return entry;
    }

    const Api &api_;
    const bool can_end_loads_;
    std::atomic<Entry *> first_{nullptr};
    std::atomic<int> cancelling_{0};
};

}  // namespace edgecodec::ort
