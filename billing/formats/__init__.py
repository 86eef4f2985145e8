"""The forms of a charge file: each makes bytes of pages of records, and knows nothing of disks or databases."""
