"""The picture of docs/electrodes.md: `python -m benchmarks.electrodes` writes it anew."""
