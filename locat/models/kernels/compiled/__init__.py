"""The kernels of GAug attention on a CPU, in C++, and how they are built."""
