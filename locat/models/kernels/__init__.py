"""GAug attention as one operator, `locat::gaussian_attention`: Triton kernels on a GPU, C++ or torch on a CPU."""
