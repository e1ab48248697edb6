"""What people look at: a run's figures, for its record and for reports."""
