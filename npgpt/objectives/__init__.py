"""What a model learns: hidden tokens and spans; answers, near a reference model."""
