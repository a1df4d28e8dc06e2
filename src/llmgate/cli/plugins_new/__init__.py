"""What ``llmgate plugins new`` writes: a whole package with one working stage, from the templates beside this file."""
