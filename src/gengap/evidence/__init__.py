"""From measurement files to evidence: collecting, intervals over seeds, verdicts."""
