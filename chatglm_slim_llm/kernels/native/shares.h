// Pieces of work shared out among threads.
#pragma once
#include <stdint.h>

namespace chatglm { namespace CHATGLM_ISA {

// Each thread has a run of neighbouring pieces to itself, so that memory is read from end to end and what was fetched
// ahead is what the thread comes to next. Who is done helps the others, as one of them may be on a busy core.
class Shares {
    static constexpr int64_t kLine = 16;  // numbers between those of two threads, so that they share no cache line
    int64_t pieces, threads, *next;      // [threads * kLine]

    int64_t begin_of(int64_t share) const { return pieces * share / threads; }

public:
    static int64_t numbers(int64_t threads) { return threads * kLine; }
    Shares(int64_t pieces, int64_t threads, int64_t *numbers) : pieces(pieces), threads(threads), next(numbers) {}
    // Called by one thread, before the others begin.
    void deal() const {
        for (int64_t share = 0; share < threads; share++) next[share * kLine] = begin_of(share);
    }
    // Called by every thread: work(piece) for each piece that no other thread has taken.
    template <typename Work>
    void each(int64_t thread, const Work &work) const {
        for (int64_t i = 0; i < threads; i++) {
            const int64_t share = (thread + i) % threads, end = begin_of(share + 1);
            for (;;) {
                int64_t piece;
#pragma omp atomic capture
                piece = next[share * kLine]++;
                if (piece >= end) break;
                work(piece);
            }
        }
    }
};

}}  // namespace chatglm::CHATGLM_ISA
