"""Prediction with a trained model: its answers for pictures of any size, with the preprocessing of its evaluation."""
