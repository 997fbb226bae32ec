// Threads that go through the same work together, part after part.
#pragma once
#include <omp.h>
#include <sched.h>
#include <stdint.h>

#include "native.h"

namespace chatglm { namespace CHATGLM_ISA {

// How often a thread looks for the others before it lets somebody else have the core: up to a tenth of a millisecond.
// Where threads outnumber cores, it may be one of those others.
constexpr int kLooks = 2000;

// Leaves the core to the thread that shares it, for a moment.
ALWAYS_INLINE void relax() {
#ifdef CHATGLM_X86
    __builtin_ia32_pause();
#elif defined(CHATGLM_ARM)
    asm volatile("yield");
#endif
}

// One thread of a team. The parts of a step take microseconds, and OpenMP's own barrier takes as long as the shortest.
class Member {
    int64_t *arrived;  // of all threads, ever
    int64_t meetings = 0;
    const int looks;

public:
    const int64_t thread, threads;

    explicit Member(int64_t *arrived)
        : arrived(arrived),
          looks(omp_get_num_threads() > omp_get_num_procs() ? 0 : kLooks),
          thread(omp_get_thread_num()),
          threads(omp_get_num_threads()) {}

    // Waits for all; each then sees what the others have written before.
    void meet() {
        const int64_t all = ++meetings * threads;
        __atomic_fetch_add(arrived, 1, __ATOMIC_ACQ_REL);
        for (int look = 0; __atomic_load_n(arrived, __ATOMIC_ACQUIRE) < all; look++)
            look < looks ? relax() : (void)sched_yield();
    }
    // work(i) for this thread's part of 0 .. count - 1.
    template <typename Work>
    void each(int64_t count, const Work &work) const {
        for (int64_t i = count * thread / threads, end = count * (thread + 1) / threads; i < end; i++) work(i);
    }
};

// Calls work(member) on so many threads, or on as many of them as there are.
template <typename Work>
static void together(int threads, const Work &work) {
    alignas(64) int64_t arrived = 0;
#pragma omp parallel num_threads(threads)
    {
        Member member(&arrived);
        work(member);
    }
}

}}  // namespace chatglm::CHATGLM_ISA
