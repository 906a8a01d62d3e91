"""Training: optimizer, schedules, the step, evaluation, logs and checkpoints. Nothing here parses arguments."""
