"""A real Kubernetes cluster of two nodes on this machine, in namespaces of its own; needs root."""
