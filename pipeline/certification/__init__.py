"""The certify stage: the verifier, run as a job."""
