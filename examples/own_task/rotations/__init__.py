"""The task `rotations`: a model learns without labels by how many quarter turns an image was turned."""
