"""What is checked of an experiment before any job: sizes, places, inputs, whose results."""
