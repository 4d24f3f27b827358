"""Export: a trained model as a program that runs without this project, checked against the model."""
