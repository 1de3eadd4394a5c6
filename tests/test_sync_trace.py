"""The checker of system calls finds an acknowledgement that came too early, and only such a one."""

import unittest

from sync_trace import Trace

JOURNAL = "/d/log/0.jnl"
WRITE = f'10 write(5<{JOURNAL}>, "abc", 3) = 3'
SYNC = f"10 fdatasync(5<{JOURNAL}>) = 0"


def ack(number: int) -> str:
    return f'10 write(2<pipe:[7]>, "ack {number}\\n", 6) = 6'


def violations(*lines: str) -> list[str]:
    trace = Trace(lambda path: path.endswith(".jnl"))
    for line in lines:
        trace.read(line)
    return trace.violations


class CheckerOfSyncs(unittest.TestCase):
    def test_written_synced_acknowledged_is_in_order(self):
        self.assertEqual(violations(WRITE, SYNC, ack(1), WRITE, WRITE, SYNC, ack(2)), [])

    def test_an_acknowledgement_without_a_sync_is_found(self):
        self.assertEqual(len(violations(WRITE, SYNC, ack(1), WRITE, ack(2))), 1)

    def test_a_sync_after_the_acknowledgement_does_not_help(self):
        self.assertEqual(len(violations(WRITE, ack(1), SYNC)), 1)

    def test_a_sync_that_failed_does_not_count(self):
        failed = f"10 fdatasync(5<{JOURNAL}>) = -1 EIO (Input/output error)"
        self.assertEqual(len(violations(WRITE, failed, ack(1))), 1)

    def test_a_sync_of_another_file_does_not_count(self):
        self.assertEqual(len(violations(WRITE, "10 fsync(6</d/log/1.jnl>) = 0", ack(1))), 1)

    def test_a_sync_that_has_not_returned_does_not_count(self):
        begun = f"11 fdatasync(5<{JOURNAL}> <unfinished ...>"
        self.assertEqual(len(violations(WRITE, begun, ack(1), "11 <... fdatasync resumed>) = 0")), 1)
        self.assertEqual(violations(WRITE, begun, "11 <... fdatasync resumed>) = 0", ack(1)), [])

    def test_a_sync_does_not_count_for_writes_that_returned_after_it_began(self):
        begun = f'11 write(5<{JOURNAL}>, "abc", 3 <unfinished ...>'
        self.assertEqual(len(violations(begun, SYNC, "11 <... write resumed>) = 3", ack(1))), 1)

    def test_other_files_may_be_written_without_a_sync(self):
        self.assertEqual(violations(WRITE, SYNC, '11 write(9</d/log/tables/1>, "x", 1) = 1', ack(1)), [])

    def test_the_folder_of_a_new_journal_must_be_synced(self):
        created = f'10 openat(AT_FDCWD</d>, "{JOURNAL}", O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0666) = 5<{JOURNAL}>'
        self.assertEqual(len(violations(created, WRITE, SYNC, ack(1))), 1)
        self.assertEqual(violations(created, WRITE, SYNC, "10 fsync(6</d/log>) = 0", ack(1)), [])


if __name__ == "__main__":
    unittest.main()
