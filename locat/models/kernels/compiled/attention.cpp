// The functions that native.py calls: GAug attention's two passes, on the threads of torch.

#include <algorithm>
#include <atomic>
#include <immintrin.h>

#include "attention.h"

namespace {

// torch_parallel_for of torch/csrc/stable/c/shim.h: call `work` for pieces of [begin, end) on torch's threads.
typedef int32_t ParallelFor(int64_t begin, int64_t end, int64_t grain, void (*work)(int64_t, int64_t, void*), void*);

// Numbers too small to be normal are 0 while this lives: processors slow down for them.
struct WithoutDenormals {
    const unsigned before = _mm_getcsr();
    WithoutDenormals() { _mm_setcsr(before | 0x8040); }
    ~WithoutDenormals() { _mm_setcsr(before); }
};

struct Call {
    const Problem& problem;
    std::atomic<bool> failed{false};
};

template <class Element, class T, bool BACKWARD> void work(int64_t begin, int64_t end, void* context) {
    Call& call = *static_cast<Call*>(context);
    const WithoutDenormals guard;
    Attention<Element, T> attention(call.problem);
    if (!attention.allocate(BACKWARD)) {
        call.failed = true;
        return;
    }
    for (int64_t piece = begin; piece < end; ++piece)
        if (BACKWARD) attention.backward(piece);
        else attention.forward(piece / attention.blocks, piece % attention.blocks);
}

template <class Element, class T> bool run(const Problem& problem, ParallelFor* parallel_for, bool backward) {
    Call call{problem};
    const int64_t heads = problem.images * problem.heads;
    const int64_t pieces = backward ? heads : heads * Attention<Element, T>(problem).blocks;
    auto* part = backward ? work<Element, T, true> : work<Element, T, false>;
    const int32_t error = parallel_for(0, pieces, 1, part, &call);
    return error == 0 && !call.failed;
}

}  // namespace

// Whether all was computed: there may not have been enough memory. `kind`: 0 float, 1 double, 2 bfloat16.
extern "C" __attribute__((visibility("default"))) bool locat_attention(
    const Problem* problem, ParallelFor* parallel_for, int32_t kind, bool backward) {
    switch (kind) {
        case 0: return run<float, float>(*problem, parallel_for, backward);
        case 1: return run<double, double>(*problem, parallel_for, backward);
        default: return run<Brain16, float>(*problem, parallel_for, backward);
    }
}
