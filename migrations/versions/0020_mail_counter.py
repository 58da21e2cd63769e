"""A counter of the mails that were sent, so that nobody has to count them at each scrape.

Mails that are not sent are few, and found by the index of migration 0009. Only a sender's own small
transaction adds to the counter, one mail at a time. It never goes back: a mail that is sent once
more counts again.
"""

from alembic import op

revision = "0020_mail_counter"
down_revision = "0019_outbox_partitions"
branch_labels = None
depends_on = None

COUNTER = """
CREATE TABLE mail_totals (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  sent bigint NOT NULL DEFAULT 0 CHECK (sent >= 0)
) WITH (fillfactor = 50);
COMMENT ON TABLE mail_totals IS 'how many mails a server took: a counter that only grows';
INSERT INTO mail_totals DEFAULT VALUES;
GRANT SELECT, UPDATE (sent) ON mail_totals TO ates_app;
CREATE FUNCTION count_sent_mail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE public.mail_totals SET sent = sent + 1;
  RETURN NULL;
END $$;
"""
# From here on nobody writes a mail until what there is was counted: some tenths of a second for a
# million.
COUNT = """
CREATE TRIGGER emails_sent AFTER UPDATE ON emails FOR EACH ROW
  WHEN (new.state = 'sent' AND old.state <> 'sent') EXECUTE FUNCTION count_sent_mail();
UPDATE mail_totals SET sent = (SELECT count(*) FROM emails WHERE state = 'sent');
"""


def upgrade() -> None:
    op.execute(COUNTER)
    op.execute(COUNT)


def downgrade() -> None:
    op.execute("DROP TRIGGER emails_sent ON emails")
    op.execute("DROP FUNCTION count_sent_mail()")
    op.execute("DROP TABLE mail_totals")
