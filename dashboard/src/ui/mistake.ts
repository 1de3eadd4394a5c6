/** A message with pieces of the pipeline file in it: what is said may be broken into lines, what is shown of the file may not. Pure. */

export interface Piece {
  text: string;
  /** Lines of the file, with numbers and carets. */
  isCode: boolean;
}

export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  for (const line of text.split("\n")) {
    const isCode = /^\s*\d*\s*\|/.test(line);
    const last = found.at(-1);
    if (last?.isCode === isCode) last.text += `\n${line}`;
    else found.push({ text: line, isCode });
  }
  return found.map((piece) => ({ ...piece, text: piece.isCode ? piece.text : piece.text.trim() })).filter((piece) => piece.text !== "");
}
