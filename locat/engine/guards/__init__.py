"""What watches over training: values that are not finite, steps that hang, speed."""
