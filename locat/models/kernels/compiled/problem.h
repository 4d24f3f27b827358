// What native.py asks for, and the types of number that its tensors have.

#pragma once

#include <cstdint>
#include <cstring>

// A tensor (images, heads, tokens, head_dim) whose head_dim is contiguous; strides count numbers.
struct Strided {
    char* data;
    int64_t image, head, token;
};

// Filled in by native.py, which names these fields in this order.
struct Problem {
    int64_t images, heads, tokens, head_dim, rows, columns;
    double largest_numerator;
    Strided q, k, v, out, d_out, d_q, d_k, d_v;
    void *shapes, *kept, *d_shapes;  // (images, heads, patches, 3), (images, heads, tokens), as shapes
};

struct Brain16 {
    uint16_t bits;
};

inline float widened(float number) { return number; }
inline double widened(double number) { return number; }
inline float widened(Brain16 number) {
    const uint32_t bits = uint32_t(number.bits) << 16;
    float wide;
    std::memcpy(&wide, &bits, sizeof wide);
    return wide;
}

inline void narrow(float number, float& to) { to = number; }
inline void narrow(double number, double& to) { to = number; }
inline void narrow(float number, Brain16& to) {
    uint32_t bits;
    std::memcpy(&bits, &number, sizeof bits);
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;  // to even
    to.bits = number == number ? rounded : 0x7fc0;
}
