// GAug attention on a CPU: softmax(q k^T / sqrt(head_dim) + S) v, a head and some of its queries at a time.
//
// Logits are (keys, queries), queries side by side in a vector: the softmax is then a sum of vectors, and a query's
// Gaussian a product of two, one of the key's row of the grid and one of its column. Logits are in base 2.
//
// Names: q, k, v as attention has them; d_ is a gradient; `turned` is (head_dim, queries), a strip after the other.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>

#include "gaussians.h"

// Attention between numbers of type `Element`, computed in `T`. One of these works for one thread.
template <class Element, class T> struct Attention {
    static constexpr int STRIPS = 4;                           // of a block of queries, at most
    static constexpr long ACROSS = STRIP<T> * STRIPS + LANES<T>;  // a row of logits; no power of two, as caches want it
    static constexpr long KEYS = 20 * ROWS;                    // of a block of keys in the backward pass, at most

    const Problem& problem;
    const long tokens = problem.tokens, head_dim = problem.head_dim, rows = problem.rows, columns = problem.columns;
    const long prefix = tokens - rows * columns, width = (head_dim + LANES<T> - 1) / LANES<T> * LANES<T>;
    const long strips = (tokens + STRIP<T> - 1) / STRIP<T>, blocks = (strips + STRIPS - 1) / STRIPS;
    const T scale = T(1 / std::sqrt(double(problem.head_dim)));
    Gaussians<T> gaussians{problem};
    long head = -1;  // of images * heads

    explicit Attention(const Problem& problem) : problem(problem) {}

    // ---- room to work in

    struct Free {
        void operator()(T* room) const { std::free(room); }
    };
    std::unique_ptr<T, Free> room;
    long taken = 0;
    T *q, *k, *v, *d_out, *d_k, *d_v;                       // (tokens, width) of this head
    T *q_turned, *d_out_turned, *weights, *d_logits, *out;  // of a block: weights and d_logits are (keys, ACROSS)
    T *total, *delta;                                           // of a block's queries
    int32_t *row_of, *column_of;                                // of each key: where a strip's factor is

    // Lay out the parts that this pass works with; returns whether there is memory for them.
    bool allocate(bool backward) {
        lay_out(backward);  // to know how much that is
        room.reset(static_cast<T*>(std::aligned_alloc(VECTOR_BYTES, taken * sizeof(T))));
        if (!room) return false;
        lay_out(backward);
        for (long key = 0; key < tokens; ++key) {  // a prefix key has the last factor of each axis, which is 0
            row_of[key] = STRIP<T> * (key < prefix ? rows : (key - prefix) / columns);
            column_of[key] = STRIP<T> * (key < prefix ? columns : (key - prefix) % columns);
        }
        return true;
    }

    void lay_out(bool backward) {
        const long whole = tokens * width, block = STRIPS * STRIP<T>, keys = backward ? KEYS : tokens;
        taken = 0;
        for (T** part : {&k, &v}) take(*part, whole);
        take(q_turned, block * head_dim), take(weights, keys * ACROSS), take(out, block * width);
        take(total, block);
        for (T** part : {&gaussians.of_rows, &gaussians.logit_rows}) take(*part, block * (rows + 1));
        take(gaussians.of_columns, block * (columns + 1));
        take(row_of, tokens), take(column_of, tokens);
        if (!backward) return;
        for (T** part : {&q, &d_out, &d_k, &d_v}) take(*part, whole);
        take(d_out_turned, block * head_dim), take(d_logits, keys * ACROSS), take(delta, block);
        take(gaussians.d_rows, block * (rows + 1)), take(gaussians.d_columns, block * (columns + 1));
    }

    template <class Number> void take(Number*& part, long count) {
        static_assert(sizeof(Number) <= sizeof(T));
        if (room) part = reinterpret_cast<Number*>(room.get() + taken);
        taken += (count + LANES<T> - 1) / LANES<T> * LANES<T>;
    }

    // ---- in and out of memory

    Element* at(const Strided& tensor, long token) const {
        const long image = head / problem.heads, of_image = head % problem.heads;
        return reinterpret_cast<Element*>(tensor.data) + image * tensor.image + of_image * tensor.head +
               token * tensor.token;
    }

    void read_row(const Strided& tensor, long token, T* to) const {
        const Element* from = at(tensor, token);
        for (long i = 0; i < head_dim; ++i) to[i] = widened(from[i]);
        for (long i = head_dim; i < width; ++i) to[i] = 0;
    }

    void read(const Strided& tensor, T* to) const {
        for (long token = 0; token < tokens; ++token) read_row(tensor, token, to + token * width);
    }

    void write_row(const T* from, T factor, const Strided& tensor, long token) const {
        Element* to = at(tensor, token);
        for (long i = 0; i < head_dim; ++i) narrow(from[i] * factor, to[i]);
    }

    // A block's rows of `from` (tokens, width) as columns, times `factor`; 0 after the last token.
    void turn(const T* from, long first, long queries, T factor, T* turned) const {
        for (long strip = 0; strip < queries; strip += STRIP<T>, turned += head_dim * STRIP<T>)
            for (long query = 0; query < STRIP<T>; ++query)
                for (long i = 0; i < head_dim; ++i)
                    turned[i * STRIP<T> + query] =
                        strip + query < queries ? factor * from[(first + strip + query) * width + i] : 0;
    }

    // ---- logits

    // sum = q k^T + S of M keys and N vectors of a strip's queries.
    template <int M, int N>
    inline __attribute__((always_inline)) void logits(Vector<T> (&sum)[M][N], long key, long strip) const {
        const T* logit_row = gaussians.at_row(gaussians.logit_rows, strip);
        const T* column = gaussians.at_column(gaussians.of_columns, strip);
#pragma GCC unroll 12
        for (int m = 0; m < M; ++m)
#pragma GCC unroll 2
            for (int n = 0; n < N; ++n)
                sum[m][n] = vector_at(logit_row + row_of[key + m] + n * LANES<T>) *
                            vector_at(column + column_of[key + m] + n * LANES<T>);
        const T* turned = q_turned + strip * head_dim * STRIP<T>;
        multiply<T, M, N, true>(sum, k + key * width, width, turned, STRIP<T>, head_dim);
    }

    // Call work(strip, Constant<vectors>) for a block's strips; the last may hold fewer vectors than others.
    template <class Work> static void each_strip(long queries, Work work) {
        for (long strip = 0; strip * STRIP<T> < queries; ++strip)
            if (queries - strip * STRIP<T> > LANES<T>) work(strip, Constant<WIDE>{});
            else work(strip, Constant<1>{});
    }

    long first_query(long block) const { return std::min(tokens, block * strips / blocks * STRIP<T>); }

    // ---- the two passes

    void forward(long new_head, long block) {
        if (head != new_head) head = new_head, read(problem.k, k), read(problem.v, v);
        const long first = first_query(block), queries = first_query(block + 1) - first;
        for (long query = 0; query < queries; ++query) read_row(problem.q, first + query, out + query * width);
        turn(out - first * width, first, queries, scale * gaussians.LOG2_E, q_turned);
        each_strip(queries, [&](long strip, auto wide) {
            constexpr int N = decltype(wide)::value;
            gaussians.make(head, first, strip);
            T* own = weights + strip * STRIP<T>;
            Vector<T> peak[N], sum[N];
            for (int n = 0; n < N; ++n)
                peak[n] = Vector<T>{} - std::numeric_limits<T>::infinity(), sum[n] = Vector<T>{};
            in_tiles(tokens, [&](long key, auto tall) {
                constexpr int M = decltype(tall)::value;
                Vector<T> logit[M][N];
                logits(logit, key, strip);
#pragma GCC unroll 12
                for (int m = 0; m < M; ++m)
#pragma GCC unroll 2
                    for (int n = 0; n < N; ++n) {
                        peak[n] = larger(peak[n], logit[m][n]);
                        vector_at(own + (key + m) * ACROSS + n * LANES<T>) = logit[m][n];
                    }
            });
            for (long key = 0; key < tokens; ++key)
#pragma GCC unroll 2
                for (int n = 0; n < N; ++n) {
                    Vector<T>& weight = vector_at(own + key * ACROSS + n * LANES<T>);
                    sum[n] += weight = power_of_two<T>(weight - peak[n]);
                }
            T* kept = static_cast<T*>(problem.kept) + head * tokens + first;
            for (long n = 0; n < N * LANES<T> && strip * STRIP<T> + n < queries; ++n) {
                total[strip * STRIP<T> + n] = sum[n / LANES<T>][n % LANES<T>];
                kept[strip * STRIP<T> + n] = peak[n / LANES<T>][n % LANES<T>] + std::log2(total[strip * STRIP<T> + n]);
            }
        });
        product<T, false, false>(out, weights, ACROSS, v, width, queries, width, tokens);
        for (long query = 0; query < queries; ++query)
            write_row(out + query * width, 1 / total[query], problem.out, first + query);
    }

    void backward(long new_head) {
        head = new_head;
        read(problem.q, q), read(problem.k, k), read(problem.v, v), read(problem.d_out, d_out);
        for (long block = 0; block < blocks; ++block) backward_of_queries(first_query(block), first_query(block + 1));
        for (long token = 0; token < tokens; ++token) {
            write_row(d_k + token * width, scale, problem.d_k, token);
            write_row(d_v + token * width, 1, problem.d_v, token);
        }
    }

    void backward_of_queries(long first, long end) {
        const long queries = end - first;
        turn(q, first, queries, scale * gaussians.LOG2_E, q_turned), turn(d_out, first, queries, 1, d_out_turned);
        for (long query = 0; query < STRIPS * STRIP<T>; ++query) {  // total: of exponentials, as a logit
            total[query] = query < queries ? static_cast<const T*>(problem.kept)[head * tokens + first + query] : 0;
            delta[query] = query < queries ? mean_of_gradient(first + query) : 0;
        }
        each_strip(queries, [&](long strip, auto) {
            gaussians.make(head, first, strip);
            std::fill_n(gaussians.at_row(gaussians.d_rows, strip), (rows + 1) * STRIP<T>, T(0));
            std::fill_n(gaussians.at_column(gaussians.d_columns, strip), (columns + 1) * STRIP<T>, T(0));
        });
        const long key_blocks = (tokens + KEYS - 1) / KEYS, even = (tokens + key_blocks - 1) / key_blocks;
        const long step = (even + ROWS - 1) / ROWS * ROWS;
        for (long key = 0; key < tokens; key += step) {
            const long keys = std::min(step, tokens - key), at = key * width;
            each_strip(queries, [&](long strip, auto wide) { make_weights<decltype(wide)::value>(strip, key, keys); });
            auto add = [&](auto kernel, T* sum, const T* numbers, long rows, long count, const T* other) {
                kernel(sum, numbers, ACROSS, other, width, rows, width, count);
            };
            const T *own_q = q + first * width, *own_d_out = d_out + first * width;
            add(first ? product<T, true, true> : product<T, true, false>, d_v + at, weights, keys, queries, own_d_out);
            add(first ? product<T, true, true> : product<T, true, false>, d_k + at, d_logits, keys, queries, own_q);
            add(key ? product<T, false, true> : product<T, false, false>, out, d_logits, queries, keys, k + at);
        }
        for (long query = 0; query < queries; ++query)
            write_row(out + query * width, scale, problem.d_q, first + query);
        each_strip(queries, [&](long strip, auto) { gaussians.write_gradients(head, first, strip); });
    }

    // The mean of the weights' gradients, as the softmax weighs them: output times its gradient.
    T mean_of_gradient(long query) const {
        T* row = out;  // not needed yet
        read_row(problem.out, query, row);
        Vector<T> sum = {};
        for (long i = 0; i < width; i += LANES<T>) sum += vector_at(row + i) * vector_at(d_out + query * width + i);
        T whole = 0;
        for (int lane = 0; lane < LANES<T>; ++lane) whole += sum[lane];
        return whole;
    }

    // Softmax weights of a strip's queries for some keys, gradients of their logits, and of the Gaussians' factors.
    template <int N> void make_weights(long strip, long first_key, long keys) {
        Vector<T> whole[N], mean[N];
        for (int n = 0; n < N; ++n) {
            whole[n] = vector_at(total + strip * STRIP<T> + n * LANES<T>);
            mean[n] = vector_at(delta + strip * STRIP<T> + n * LANES<T>);
        }
        const T* turned = d_out_turned + strip * head_dim * STRIP<T>;
        const T* logit_row = gaussians.at_row(gaussians.logit_rows, strip);
        const T* column = gaussians.at_column(gaussians.of_columns, strip);
        T* d_row = gaussians.at_row(gaussians.d_rows, strip);
        T* d_column = gaussians.at_column(gaussians.d_columns, strip);
        in_tiles(keys, [&](long row, auto tall) {
            constexpr int M = decltype(tall)::value;
            const long key = first_key + row, own = row * ACROSS + strip * STRIP<T>;
            Vector<T> sum[M][N];
            logits(sum, key, strip);
#pragma GCC unroll 12
            for (int m = 0; m < M; ++m)
#pragma GCC unroll 2
                for (int n = 0; n < N; ++n) {
                    vector_at(weights + own + m * ACROSS + n * LANES<T>) = power_of_two<T>(sum[m][n] - whole[n]);
                    sum[m][n] = Vector<T>{};
                }
            multiply<T, M, N, true>(sum, v + key * width, width, turned, STRIP<T>, head_dim);
#pragma GCC unroll 12
            for (int m = 0; m < M; ++m)
#pragma GCC unroll 2
                for (int n = 0; n < N; ++n) {
                    const long at = own + m * ACROSS + n * LANES<T>;
                    const long of_row = row_of[key + m] + n * LANES<T>, of_column = column_of[key + m] + n * LANES<T>;
                    const Vector<T> gradient = vector_at(weights + at) * (sum[m][n] - mean[n]);
                    vector_at(d_logits + at) = gradient;
                    vector_at(d_row + of_row) += gradient * vector_at(column + of_column);
                    vector_at(d_column + of_column) += gradient * vector_at(logit_row + of_row);
                }
        });
    }
};
