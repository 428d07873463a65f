"""What every stage stands on: log, records, ownership, kept state. It shapes no number."""
