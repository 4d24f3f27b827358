"""GAug attention as one operator, `locat::gaussian_attention`: Triton kernels on a GPU, blocks of torch on a CPU."""
