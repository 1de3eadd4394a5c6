/** The way of a row as steps, from what the program found: pure. */

import type { RowTrace, RuleInfo } from "../api/detail";
import type { FileLedger } from "../api/types";
import { timeMs } from "../format/cell";
import { bytes, count, utc } from "../format/format";
import { FILE_STATES } from "../ledger/states";

export interface Step {
  id: "file" | "rules" | "log" | "table" | "archive";
  title: string;
  /** `done`: it passed here; `stopped`: it ended here; `ahead`: not there yet; `unknown`: nobody tells any more. */
  state: "done" | "stopped" | "ahead" | "unknown";
  facts: { name: string; value: string }[];
}

export interface RuleResult {
  rule: RuleInfo;
  /** `passed`, or what the rule did. */
  result: "passed" | "rejected" | "marked";
  reason: string | null;
}

const value = (trace: RowTrace, name: string): unknown => trace.values[trace.columns.findIndex((column) => column.name === name)] ?? null;
const texts = (list: unknown): string[] => (Array.isArray(list) ? list.map(String) : []);

/** What each rule of the pipeline file said of the row. */
export function ruleResults(trace: RowTrace): RuleResult[] {
  const broken = texts(value(trace, "rules"));
  const reasons = texts(value(trace, "reasons"));
  const marks = texts(value(trace, "_marks"));
  const known = new Set(trace.rules.map(({ name }) => name));
  // Types and fills are no rules of the file, and are told when they had something to say.
  const others = [...broken, ...marks].filter((name) => !known.has(name));
  const unnamed = [...new Set(others)].map((name): RuleInfo => ({ name, column: name.split(":")[1] ?? null, check: name.startsWith("type:") ? "fits its type" : "", action: broken.includes(name) ? "reject" : "nullify", toml: null, written: null }));
  return [...trace.rules, ...unnamed].map((rule) => {
    const at = broken.indexOf(rule.name);
    if (at >= 0) return { rule, result: "rejected", reason: reasons[at] ?? null };
    return { rule, result: marks.includes(rule.name) ? "marked" : "passed", reason: null };
  });
}

export function stepsOf(trace: RowTrace, file: string, row: number, ledger: FileLedger | null): Step[] {
  const gone = trace.outcome === "not_there";
  const results = ruleResults(trace);
  const rejected = results.filter(({ result }) => result === "rejected").length;
  const marked = results.filter(({ result }) => result === "marked").length;
  const at = timeMs(value(trace, "ingested_at"), 'Timestamp(Microsecond, Some("UTC"))');
  const { log, archive } = trace;
  return [
    {
      id: "file",
      title: "Source file",
      state: "done",
      facts: [
        { name: "file", value: file },
        { name: "row", value: `${count(row)}${ledger === null ? "" : ` of ${count(ledger.rows)}`}, from 0` },
        ...(ledger === null ? [] : [{ name: "file is", value: `${FILE_STATES[ledger.state].word}, ${bytes(ledger.size_bytes)}` }]),
      ],
    },
    {
      id: "rules",
      title: "Rules",
      state: gone ? "stopped" : rejected > 0 ? "stopped" : "done",
      facts: gone
        ? [{ name: "outcome", value: "neither delivered nor rejected: a duplicate, filtered out, or not read yet" }]
        : [{ name: "outcome", value: rejected > 0 ? `rejected by ${rejected === 1 ? "one rule" : `${rejected} rules`}` : marked > 0 ? `delivered, mended or marked by ${marked === 1 ? "one rule" : `${marked} rules`}` : "delivered, all rules passed" }],
    },
    {
      id: "log",
      title: "Log",
      state: gone ? "ahead" : log === null ? "unknown" : "done",
      facts: [
        ...(log === null ? [] : [{ name: "partition", value: `${log.topic === "rejects" ? "rejects " : ""}${log.partition}` }, { name: "offset", value: log.offset === null ? `within ${count(log.first_offset)} and ${count(log.end_offset - 1)}` : count(log.offset) }]),
        ...(at === null ? [] : [{ name: "durable at", value: `${utc(at)} UTC` }]),
      ],
    },
    {
      id: "table",
      title: "Live table",
      state: gone ? "ahead" : log?.in_live === true ? "done" : "unknown",
      facts: gone ? [] : [{ name: "now", value: log?.in_live === true ? "in memory" : "not in memory any more" }],
    },
    {
      id: "archive",
      title: trace.outcome === "rejected" ? "Archive of rejects" : "Archive",
      state: gone || archive === null ? "ahead" : "done",
      facts:
        archive === null
          ? gone
            ? []
            : [{ name: "now", value: "waits for the next commit" }]
          : [
              { name: "version", value: archive.version === null ? "not told any more" : count(archive.version) },
              ...(archive.at === null ? [] : [{ name: "committed at", value: `${utc(Date.parse(archive.at))} UTC` }]),
              { name: "file", value: archive.file },
            ],
    },
  ];
}
