// The Gaussians of a block of queries as factors of the grid's rows and columns, and their gradients.

#pragma once

#include "lanes.h"
#include "problem.h"

template <class T> struct Gaussians {
    static constexpr T LOG2_E = T(1.4426950408889634);

    const Problem& problem;
    const long rows = problem.rows, columns = problem.columns, prefix = problem.tokens - rows * columns;
    // Of each strip of queries a factor (STRIP) for each row or column of the grid, and a last one, 0, for prefix keys.
    // logit_rows are rows with the height, and as a logit in base 2.
    T *of_rows, *logit_rows, *of_columns, *d_rows, *d_columns;

    explicit Gaussians(const Problem& problem) : problem(problem) {}

    T* at_row(T* factors, long strip) const { return factors + strip * (rows + 1) * STRIP<T>; }
    T* at_column(T* factors, long strip) const { return factors + strip * (columns + 1) * STRIP<T>; }

    struct Shape {
        alignas(64) T height[STRIP<T>], variance_y[STRIP<T>], variance_x[STRIP<T>], y[STRIP<T>], x[STRIP<T>];
    };

    // Of a strip's queries: a prefix token's, and what is after the last token, has no height.
    Shape shapes(long head, long first) const {
        Shape shape;
        const T* numbers = static_cast<const T*>(problem.shapes) + head * rows * columns * 3;
        for (long lane = 0; lane < STRIP<T>; ++lane) {
            const long patch = first + lane - prefix;
            const bool has = patch >= 0 && patch < rows * columns;
            shape.height[lane] = has ? numbers[patch * 3] : 0;
            shape.variance_y[lane] = has ? numbers[patch * 3 + 1] : 1;
            shape.variance_x[lane] = has ? numbers[patch * 3 + 2] : 1;
            shape.y[lane] = has ? patch / columns : 0, shape.x[lane] = has ? patch % columns : 0;
        }
        return shape;
    }

    // -distance^2 / 2, clamped.
    Vector<T> numerator(long position, Vector<T> own) const {
        const Vector<T> distance = T(position) - own;
        return larger(T(-0.5) * distance * distance, Vector<T>{} - T(problem.largest_numerator));
    }

    // The factors of a strip of the block that begins with query `first`.
    void make(long head, long first, long strip) {
        const Shape shape = shapes(head, first + strip * STRIP<T>);
        for (long n = 0; n < STRIP<T>; n += LANES<T>) {
            const Vector<T> height = LOG2_E * vector_at(shape.height + n);
            const Vector<T> rate_y = LOG2_E / vector_at(shape.variance_y + n);
            const Vector<T> rate_x = LOG2_E / vector_at(shape.variance_x + n);
            T* row = at_row(of_rows, strip) + n;
            T* logit_row = at_row(logit_rows, strip) + n;
            T* column = at_column(of_columns, strip) + n;
            for (long i = 0; i < rows; ++i) {
                const Vector<T> factor = power_of_two<T>(numerator(i, vector_at(shape.y + n)) * rate_y);
                vector_at(row + i * STRIP<T>) = factor, vector_at(logit_row + i * STRIP<T>) = factor * height;
            }
            for (long i = 0; i < columns; ++i)
                vector_at(column + i * STRIP<T>) = power_of_two<T>(numerator(i, vector_at(shape.x + n)) * rate_x);
            vector_at(row + rows * STRIP<T>) = vector_at(logit_row + rows * STRIP<T>) = Vector<T>{};
            vector_at(column + columns * STRIP<T>) = Vector<T>{};
        }
    }

    // From those of the factors.
    void write_gradients(long head, long first, long strip) const {
        const Shape shape = shapes(head, first + strip * STRIP<T>);
        alignas(64) T of_height[STRIP<T>], of_y[STRIP<T>], of_x[STRIP<T>];
        for (long n = 0; n < STRIP<T>; n += LANES<T>) {
            Vector<T> along = {}, exponent_y = {}, exponent_x = {};
            for (long i = 0; i < rows; ++i) {
                const long at = (strip * (rows + 1) + i) * STRIP<T> + n;
                const Vector<T> term = vector_at(d_rows + at) * vector_at(of_rows + at);
                along += term, exponent_y += term * numerator(i, vector_at(shape.y + n));
            }
            for (long i = 0; i < columns; ++i) {
                const long at = (strip * (columns + 1) + i) * STRIP<T> + n;
                const Vector<T> term = vector_at(d_columns + at) * vector_at(of_columns + at);
                exponent_x += term * numerator(i, vector_at(shape.x + n));
            }
            const Vector<T> height = vector_at(shape.height + n);
            const Vector<T> variance_y = vector_at(shape.variance_y + n), variance_x = vector_at(shape.variance_x + n);
            vector_at(of_height + n) = along;
            vector_at(of_y + n) = -height * (exponent_y / variance_y) / variance_y;
            vector_at(of_x + n) = -(exponent_x / LOG2_E / variance_x) / variance_x;  // d_columns has the height
        }
        T* numbers = static_cast<T*>(problem.d_shapes) + head * rows * columns * 3;
        for (long lane = 0; lane < STRIP<T>; ++lane) {
            const long patch = first + strip * STRIP<T> + lane - prefix;
            if (patch < 0 || patch >= rows * columns) continue;
            numbers[patch * 3] = of_height[lane];
            numbers[patch * 3 + 1] = of_y[lane], numbers[patch * 3 + 2] = of_x[lane];
        }
    }
};
