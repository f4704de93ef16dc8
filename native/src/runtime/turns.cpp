#include "runtime/turns.h"

#include "runtime/job.h"

namespace edgecodec {

Turns::Turn::Turn(Turns &turns, bool &taken, const Job &job) : turns_(turns), taken_(taken) {
    std::unique_lock<std::mutex> lock(turns_.mutex_);
    turns_.changed_.wait(lock, [&] { return !taken_ || job.cancelled(); });
    job.check_cancelled();
    taken_ = true;
}

Turns::Turn::~Turn() {
    {
        const std::lock_guard<std::mutex> lock(turns_.mutex_);
        taken_ = false;
    }
    turns_.changed_.notify_all();
}

void Turns::look_again() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
    }  // so that nobody is between a look and the wait after it
    changed_.notify_all();
}

}  // namespace edgecodec
