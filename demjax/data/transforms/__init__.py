"""What is done to inputs and labels once they are read: scaling, planted conflicts."""
