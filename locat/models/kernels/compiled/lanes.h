// Vectors of numbers and products of small matrices in registers; compiled once for each instruction set.
//
// What is known of a processor is the macro VECTOR_BYTES (64 or 32). Every sum is made one term after the other, in
// the same order however the work is cut into tiles, blocks and threads: results are the same bits for any cut.

#pragma once

#include <cstdint>
#include <cstring>

template <class T> struct Lanes;
template <> struct Lanes<float> {
    typedef float Vector __attribute__((vector_size(VECTOR_BYTES)));
    typedef int32_t Integers __attribute__((vector_size(VECTOR_BYTES)));
    static constexpr int mantissa = 23, bias = 127;
    static constexpr float rounder = 0x1.8p23f;  // added to a number it leaves its integer in the lowest bits
};
template <> struct Lanes<double> {
    typedef double Vector __attribute__((vector_size(VECTOR_BYTES)));
    typedef int64_t Integers __attribute__((vector_size(VECTOR_BYTES)));
    static constexpr int mantissa = 52, bias = 1023;
    static constexpr double rounder = 0x1.8p52;
};

template <class T> using Vector = typename Lanes<T>::Vector;
template <class T> constexpr int LANES = VECTOR_BYTES / sizeof(T);

constexpr int ROWS = VECTOR_BYTES == 64 ? 12 : 6;  // of a tile, which with two vectors a row fills the registers
constexpr int WIDE = 2;                            // vectors of a tile's row

// Queries that go through the logits together.
template <class T> constexpr long STRIP = WIDE * LANES<T>;

template <class T> inline Vector<T>& vector_at(T* aligned) { return *reinterpret_cast<Vector<T>*>(aligned); }
template <class T> inline const Vector<T>& vector_at(const T* aligned) {
    return *reinterpret_cast<const Vector<T>*>(aligned);
}

template <class V> inline V larger(V one, V other) { return other > one ? other : one; }

// 2^x, relative error about 1e-7 (1e-15 in double); 0 where that would be no normal number, NaN of NaN.
template <class T> inline Vector<T> power_of_two(Vector<T> x) {
    using L = Lanes<T>;
    const Vector<T> least = Vector<T>{} - T(L::bias);
    x = x < least ? least : x;
    const Vector<T> shifted = x + L::rounder, fraction = x - (shifted - L::rounder);
    // The Taylor series of e^(fraction * ln 2), fraction from -1/2 to 1/2.
    constexpr int terms = sizeof(T) == 4 ? 7 : 13;
    constexpr double series[13] = {
        1.0, 0.6931471805599453, 0.24022650695910072, 0.05550410866482158, 0.009618129107628477,
        0.0013333558146428443, 0.00015403530393381608, 1.525273380405984e-05, 1.3215486790144307e-06,
        1.01780860092397e-07, 7.054911620801123e-09, 4.445538271870812e-10, 2.5678435993488206e-11,
    };
    Vector<T> power = Vector<T>{} + T(series[terms - 1]);
#pragma GCC unroll 13
    for (int term = terms - 2; term >= 0; --term) power = power * fraction + T(series[term]);
    typename L::Integers bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + L::bias) << L::mantissa;
    Vector<T> scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return power * scale;
}

// sum[m][n] += the sum over i < count of a(m, i) * b(i, n), where b has `across` numbers a row.
// ALONG: a's rows lie `stride` apart and i runs along them; else m runs along rows, and i from one to the next.
template <class T, int M, int N, bool ALONG>
inline __attribute__((always_inline)) void multiply(
    Vector<T> (&sum)[M][N], const T* a, long stride, const T* b, long across, long count) {
    for (long i = 0; i < count; ++i) {
        Vector<T> row[N];
#pragma GCC unroll 2
        for (int n = 0; n < N; ++n) row[n] = vector_at(b + i * across + n * LANES<T>);
#pragma GCC unroll 12
        for (int m = 0; m < M; ++m) {
            const T factor = ALONG ? a[m * stride + i] : a[i * stride + m];
#pragma GCC unroll 2
            for (int n = 0; n < N; ++n) sum[m][n] += factor * row[n];
        }
    }
}

template <int VALUE> struct Constant { static constexpr int value = VALUE; };

// Call tile(first, Constant<rows>) for pieces of at most ROWS rows, `count` in all.
template <class Tile> inline __attribute__((always_inline)) void in_tiles(long count, Tile tile) {
    long row = 0;
    for (; row + ROWS <= count; row += ROWS) tile(row, Constant<ROWS>{});
    for (; row + 3 <= count; row += 3) tile(row, Constant<3>{});
    for (; row < count; ++row) tile(row, Constant<1>{});
}

// total (rows, columns) = (ADD ? total : 0) + a b; `columns` is a multiple of the lanes, so is `across` of b and total.
template <class T, bool ALONG, bool ADD>
void product(T* total, const T* a, long stride, const T* b, long across, long rows, long columns, long count) {
    auto strip = [&](long column, auto wide) {
        constexpr int N = decltype(wide)::value;
        in_tiles(rows, [&](long row, auto tall) {
            constexpr int M = decltype(tall)::value;
            Vector<T> sum[M][N] = {};
            T* target = total + row * across + column;
            if (ADD)
#pragma GCC unroll 12
                for (int m = 0; m < M; ++m)
#pragma GCC unroll 2
                    for (int n = 0; n < N; ++n) sum[m][n] = vector_at(target + m * across + n * LANES<T>);
            multiply<T, M, N, ALONG>(sum, a + (ALONG ? row * stride : row), stride, b + column, across, count);
#pragma GCC unroll 12
            for (int m = 0; m < M; ++m)
#pragma GCC unroll 2
                for (int n = 0; n < N; ++n) vector_at(target + m * across + n * LANES<T>) = sum[m][n];
        });
    };
    long column = 0;
    for (; column + WIDE * LANES<T> <= columns; column += WIDE * LANES<T>) strip(column, Constant<WIDE>{});
    if (column < columns) strip(column, Constant<1>{});
}
