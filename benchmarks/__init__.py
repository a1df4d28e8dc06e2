"""The figures and the scripts that make them: ``python -m benchmarks``; nothing of it ships in the wheel."""
