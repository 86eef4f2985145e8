"""What must hold of charge files at every commit."""

from __future__ import annotations

from billing import schema_exports
from billing.invariant import Invariant

# Who checks files needs their tables among all others.
assert schema_exports.export_member is not None

EXPORT_INVARIANTS = (
    Invariant(
        "exported_is_billable",
        "a file holds captured and zero-rated charges only, of its own carrier and days",
        """SELECT export_member.charge_id FROM export_member
        LEFT JOIN charge ON charge.id = export_member.charge_id LEFT JOIN export_run ON export_run.id = export_member.run_id
        WHERE charge.id IS NULL OR export_run.id IS NULL OR charge.state NOT IN (10, 13) OR export_member.profile <> export_run.profile
        OR (export_run.producer <> '' AND (charge.carrier <> export_run.carrier
        OR charge.period < export_run.first_day OR charge.period >= export_run.after_day))""",
    ),
    Invariant(
        "run_adds_up",
        "a run's count and sum are those of its charges, numbered 1 to n",
        """SELECT export_run.id FROM export_run LEFT JOIN
        (SELECT export_member.run_id AS run_id, COUNT(*) AS records, SUM(charge.amount_minor) AS minor,
        MIN(export_member.record_seq) AS least, MAX(export_member.record_seq) AS most
        FROM export_member JOIN charge ON charge.id = export_member.charge_id GROUP BY export_member.run_id) AS counted
        ON counted.run_id = export_run.original
        WHERE export_run.records <> COALESCE(counted.records, 0) OR export_run.amount_minor <> COALESCE(counted.minor, 0)
        OR COALESCE(counted.most, 0) <> COALESCE(counted.records, 0) OR COALESCE(counted.least, 1) <> 1""",
    ),
    Invariant(
        "files_tile_run",
        "the files of a written run hold each of its records once",
        """SELECT export_run.id FROM export_run LEFT JOIN
        (SELECT run_id, SUM(records) AS records, COUNT(*) AS parts, MAX(part) AS last, MIN(state) AS least
        FROM export_file GROUP BY run_id) AS counted ON counted.run_id = export_run.id
        WHERE export_run.state = 1 AND (counted.parts IS NULL OR counted.records <> export_run.records
        OR counted.last <> counted.parts OR counted.least < 1)
        UNION SELECT export_file.run_id FROM export_file LEFT JOIN export_file AS earlier
        ON earlier.run_id = export_file.run_id AND earlier.part = export_file.part - 1
        WHERE export_file.first_record <> COALESCE(earlier.first_record + earlier.records, 1)""",
    ),
    Invariant(
        "file_numbers_gapless",
        "the original files of a profile and carrier are numbered 1 to n",
        """SELECT MIN(run_id) FROM export_file WHERE revision = 0 GROUP BY profile, carrier
        HAVING MIN(file_seq) <> 1 OR MAX(file_seq) <> COUNT(*)""",
    ),
    Invariant(
        "file_chain",
        "a written file has its hash, and names the hash of the original before it",
        """SELECT export_file.run_id FROM export_file LEFT JOIN export_file AS previous
        ON previous.profile = export_file.profile AND previous.carrier = export_file.carrier
        AND previous.file_seq = export_file.file_seq - 1 AND previous.revision = 0
        WHERE export_file.state >= 1
        AND (export_file.sha256 IS NULL OR COALESCE(export_file.previous_sha256, '') <> COALESCE(previous.sha256, ''))""",
    ),
    Invariant(
        "revision_supersedes",
        "a revision is of the run before it and names the hash of each file it replaces",
        """SELECT export_run.id FROM export_run LEFT JOIN export_run AS earlier ON earlier.id = export_run.supersedes
        WHERE export_run.revision > 0 AND (earlier.id IS NULL OR earlier.original <> export_run.original
        OR earlier.revision <> export_run.revision - 1)
        UNION SELECT export_file.run_id FROM export_file LEFT JOIN export_file AS earlier
        ON earlier.profile = export_file.profile AND earlier.carrier = export_file.carrier
        AND earlier.file_seq = export_file.file_seq AND earlier.revision = export_file.revision - 1
        WHERE export_file.revision > 0 AND COALESCE(export_file.supersedes_sha256, '') <> COALESCE(earlier.sha256, 'none')""",
    ),
    Invariant(
        "delivery_in_order",
        "only a written file is delivered, and only a delivered one is answered",
        """SELECT run_id FROM export_file WHERE state NOT IN (0, 1, 2, 3, 4) OR (state = 0 AND sha256 IS NOT NULL)
        OR (state >= 2 AND delivered_at IS NULL) OR (state < 2 AND delivered_at IS NOT NULL)
        OR (state >= 3 AND answered_at IS NULL) OR (state < 3 AND answered_at IS NOT NULL)""",
    ),
)
