// Memory that a thread keeps from one product to the next. Fresh pages cost more time than the quantising that fills
// them, and the widest layer of a prompt needs 6 MB, 13 at 8 bits.
#pragma once
#include <stdint.h>
#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

namespace chatglm { namespace CHATGLM_ISA {

constexpr int64_t kLargePage = 1 << 21;

class Workspace {
    char *data = nullptr;
    int64_t size = 0;

public:
    ~Workspace() { free(data); }
    // So many bytes, undefined, on large pages where there are any; null if memory ran out.
    char *of(int64_t bytes) {
        if (bytes <= size) return data;
        free(data);
        void *fresh = nullptr;
        const int64_t whole = (bytes + kLargePage - 1) / kLargePage * kLargePage;
        const bool ok = posix_memalign(&fresh, (size_t)kLargePage, (size_t)whole) == 0;
        data = ok ? (char *)fresh : nullptr, size = ok ? whole : 0;
#ifdef __linux__
        if (ok) madvise(fresh, (size_t)whole, MADV_HUGEPAGE);
#endif
        return data;
    }
};

// Hands out parts of a workspace; without one it only counts what they take.
struct Parts {
    char *base;
    int64_t taken = 0;

    template <typename Number>
    void take(Number *&out, int64_t count) {
        out = base ? (Number *)(base + taken) : nullptr;
        taken += (count * (int64_t)sizeof(Number) + 63) / 64 * 64;
    }
};

}}  // namespace chatglm::CHATGLM_ISA
