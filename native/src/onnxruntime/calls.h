// The calls of ONNX Runtime that are under way, and how they are ended.
#pragma once

#include <mutex>
#include <set>

#include "edgecodec/edgecodec.h"
#include "onnxruntime/api.h"

namespace edgecodec::ort {

// May be used by several threads at a time.
class Calls {
public:
    // can_end_loads: whether this ONNX Runtime has a way to.
    Calls(const Api &api, bool can_end_loads) : api_(api), can_end_loads_(can_end_loads) {}

    // A call that is under way as long as this lives. The options must live longer.
    class Call {
    public:
        Call(Calls &calls, const ec_job *job, RunOptions *options) : Call(calls, job, options, nullptr) {}
        Call(Calls &calls, const ec_job *job, SessionOptions *options) : Call(calls, job, nullptr, options) {}
        Call(const Call &) = delete;
        Call &operator=(const Call &) = delete;
        ~Call() {
            const std::lock_guard<std::mutex> lock(calls_.mutex_);
            calls_.under_way_.erase(this);
        }

        // Also where its job had been cancelled before.
        bool cancelled() const {
            const std::lock_guard<std::mutex> lock(calls_.mutex_);
            return cancelled_;
        }

    private:
        friend class Calls;

        Call(Calls &calls, const ec_job *job, RunOptions *run, SessionOptions *load)
            : calls_(calls), job_(job), run_(run), load_(load) {
            const std::lock_guard<std::mutex> lock(calls_.mutex_);
            calls_.under_way_.insert(this);
            cancelled_ = ec_job_cancelled(job) != 0;
        }

        Calls &calls_;
        const ec_job *const job_;
        RunOptions *const run_;
        SessionOptions *const load_;
        bool cancelled_ = false;
    };

    // Asks those of a job, or for NULL all of them, to end at their next step.
    void cancel(const ec_job *job) {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (Call *call : under_way_) {
            if (job != nullptr && call->job_ != job) continue;
            call->cancelled_ = true;
            Status *status = nullptr;
            if (call->run_ != nullptr) {
                status = api_[RunOptionsSetTerminate](call->run_);
            } else if (can_end_loads_) {
                status = api_[SessionOptionsSetLoadCancellationFlag](call->load_, true);
            }
            if (status != nullptr) api_[ReleaseStatus](status);
        }
    }

private:
    const Api &api_;
    const bool can_end_loads_;
    std::mutex mutex_;
    std::set<Call *> under_way_;
};

}  // namespace edgecodec::ort
