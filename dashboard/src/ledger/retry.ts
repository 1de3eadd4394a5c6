/** What the program answers when a quarantined file is to be taken again. */

/** Entry of the answer of `/api/retry`. */
export interface RetryAnswer {
  file: string;
  /** The row from which it is read. */
  from_row: number | null;
  /** Why it is not taken; null when it is. */
  refused: string | null;
}
