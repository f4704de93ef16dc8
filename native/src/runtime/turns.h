// Waiting for what only one job may use at a time, which ends when the job is cancelled.
#pragma once

#include <condition_variable>
#include <mutex>

namespace edgecodec {

class Job;

class Turns {
public:
    // The use of one thing, as long as this lives. taken: whether anybody uses it.
    class Turn {
    public:
        // Throws Failure(EC_CANCELLED).
        Turn(Turns &turns, bool &taken, const Job &job);
        ~Turn();
        Turn(const Turn &) = delete;
        Turn &operator=(const Turn &) = delete;

    private:
        Turns &turns_;
        bool &taken_;
    };

    // Lets those go that have been cancelled.
    void look_again();

private:
    std::mutex mutex_;
    std::condition_variable changed_;
};

}  // namespace edgecodec
