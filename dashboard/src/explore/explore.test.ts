import { describe, expect, it } from "vitest";

import type { Column } from "../format/cell";
import { changed, formatRoute, parseRoute } from "../shell/route";
import { resultFromJson } from "../views/result";
import { Asking } from "./asking";
import { dimensionsOf, fieldsOf } from "./fields";
import { boundsOf, change, dataSpan, leaderboardOf, overviewOf } from "./overview";
import { boundsSql, leaderboardSql, overviewSql, profileSql, rankSql, whereSql, type Scope } from "./questions";
import { identifier, literal, textLiteral } from "./quote";
import { before, bucketOf, bucketsOf, nextBucket, spanOf, stepFor, stepSql, type Step } from "./range";
import { customChanges, filterChanges, formatValues, noFilters, parseState, parseValues, presetChanges, toggled, type Value } from "./state";

const text = (name: string): Column => ({ name, dataType: "Utf8", kind: "text" });
const whole = (name: string): Column => ({ name, dataType: "Int64", kind: "number" });
const DAY = 86_400_000;

function scope(more: Partial<Scope> = {}): Scope {
  return { time: "at", span: null, filters: [], columns: new Map([text("k"), whole("n")].map((column) => [column.name, column])), ...more };
}

describe("quoting", () => {
  it("keeps any name a name and any value a value", () => {
    expect(identifier('na"me, ö; DROP')).toBe('"na""me, ö; DROP"');
    expect(textLiteral("it's '' \\ ö")).toBe("'it''s '''' \\ ö'");
  });

  it("takes for a number only what is one", () => {
    const number = whole("n");
    expect(literal("-12", number)).toBe("-12");
    expect(literal("1.5e3", number)).toBe("CAST('1.5e3' AS DOUBLE)");
    expect(literal("1) OR (1=1", number)).toBe("'1) OR (1=1'");
    expect(literal("true", { kind: "boolean", dataType: "Boolean" })).toBe("true");
    expect(literal("true OR true", { kind: "boolean", dataType: "Boolean" })).toBe("'true OR true'");
    expect(literal("2020-01-01", { kind: "time", dataType: "Date32" })).toBe("DATE '2020-01-01'");
  });
});

describe("fields", () => {
  const column = (name: string, data_type: string) => ({ name, data_type, nullable: true });

  it("finds measures and dimensions by type, and leaves nested and own columns out", () => {
    const fields = fieldsOf([column("at", 'Timestamp(µs, "UTC")'), column("fare amount", "Decimal128(10, 2)"), column("vendor_id", "Int32"), column("flag", "Boolean"), column("tags", "List(Utf8)"), column("_marks", "List(Utf8)"), column("_row", "Int64"), column("_file", "Utf8"), column("name", "Utf8"), column("day", "Date32")], "at");
    expect(fields.measures.map(({ name }) => name)).toEqual(["fare amount"]);
    expect(fields.candidates.map(({ name }) => name)).toEqual(["vendor_id", "flag", "name", "day", "_file"]);
  });

  it("tells codes from amounts and labels from names of rows by a sample", () => {
    const candidates = [whole("vendor"), whole("amount"), text("label"), text("uuid"), text("_file"), text("nothing")];
    const distinct = new Map([["vendor", 3], ["amount", 5000], ["label", 40], ["uuid", 9990], ["_file", 1], ["nothing", 0]]);
    expect(dimensionsOf(candidates, distinct, 10_000).map(({ name }) => name)).toEqual(["vendor", "label", "_file"]);
    expect(dimensionsOf([text("uuid")], new Map([["uuid", 10]]), 10)).toHaveLength(1);
  });
});

describe("range", () => {
  it("has presets that end with the data, and all of it", () => {
    const data = { from: 0, to: 10 * DAY };
    expect(spanOf({ kind: "preset", id: "24h" }, data)).toEqual({ from: 9 * DAY, to: 10 * DAY });
    expect(spanOf({ kind: "preset", id: "all" }, data)).toEqual(data);
    expect(before({ from: 5, to: 8 })).toEqual({ from: 2, to: 5 });
  });

  it("makes buckets that cover the span without a hole, at most as many as are wanted", () => {
    for (const length of [1000, 5 * 60_000, DAY, 7 * DAY, 90 * DAY, 3000 * DAY, 90_000 * DAY]) {
      const span = { from: Date.UTC(2019, 10, 3, 5, 7, 11), to: Date.UTC(2019, 10, 3, 5, 7, 11) + length };
      const step = stepFor(span, 120);
      const starts = bucketsOf(span, step);
      expect(starts.length).toBeLessThanOrEqual(121);
      expect(starts[0]).toBe(bucketOf(span.from, step));
      starts.forEach((start, index) => {
        expect(bucketOf(start, step)).toBe(start);
        expect(bucketOf(nextBucket(start, step) - 1, step)).toBe(start);
        if (index > 0) expect(start).toBe(nextBucket(starts[index - 1] ?? 0, step));
      });
    }
  });

  it("bins by the same origin as SQL, weeks on Mondays, also before 1970", () => {
    const week: Step = { kind: "ms", ms: 7 * DAY, name: "week" };
    expect(new Date(bucketOf(Date.UTC(1969, 6, 20), week)).getUTCDay()).toBe(1);
    expect(stepSql(week, '"at"')).toBe(`date_bin(INTERVAL '604800 seconds', "at", TIMESTAMP '1970-01-05T00:00:00Z')`);
    expect(new Date(bucketOf(Date.UTC(1969, 6, 20), { kind: "months", months: 3, name: "quarter" })).toISOString()).toBe("1969-07-01T00:00:00.000Z");
  });
});

describe("questions", () => {
  it("asks for all rows without a condition, and for a span with its end left out", () => {
    expect(whereSql(scope())).toBe("");
    expect(whereSql(scope({ span: { from: 0, to: 1000 } }))).toBe(` WHERE "at" >= TIMESTAMP '1970-01-01T00:00:00.000Z' AND "at" < TIMESTAMP '1970-01-01T00:00:01.000Z'`);
  });

  it("counts rows without a value where SQL's three values would drop them", () => {
    const where = (mode: "in" | "not", values: Value[]) => whereSql(scope({ filters: [{ column: "k", mode, values }] }));
    expect(where("in", ["a", "it's"])).toBe(` WHERE "k" IN ('a', 'it''s')`);
    expect(where("in", [null])).toBe(` WHERE "k" IS NULL`);
    expect(where("in", ["a", null])).toBe(` WHERE ("k" IN ('a') OR "k" IS NULL)`);
    expect(where("not", ["a"])).toBe(` WHERE ("k" NOT IN ('a') OR "k" IS NULL)`);
    expect(where("not", ["a", null])).toBe(` WHERE ("k" NOT IN ('a') AND "k" IS NOT NULL)`);
    expect(where("not", [null])).toBe(` WHERE "k" IS NOT NULL`);
    expect(whereSql(scope({ filters: [{ column: "gone", mode: "in", values: ["a"] }] }))).toBe("");
  });

  it("leaves a dimension's own filter out of its leaderboard", () => {
    const filtered = scope({ filters: [{ column: "k", mode: "in", values: ["a"] }, { column: "n", mode: "in", values: ["1"] }] });
    const sql = leaderboardSql(filtered, text("k"), rankSql(null, "sum"), 8, null);
    expect(sql).toContain(`WHERE "n" IN (1)`);
    expect(sql).not.toContain(`"k" IN`);
  });

  it("asks one question for both spans when they are compared", () => {
    const sql = leaderboardSql(scope({ span: { from: 2000, to: 3000 } }), text("k"), rankSql(whole("n"), "avg"), 8, { from: 1000, to: 2000 });
    expect(sql).toContain(`"at" >= TIMESTAMP '1970-01-01T00:00:01.000Z' AND "at" < TIMESTAMP '1970-01-01T00:00:03.000Z'`);
    expect(sql).toContain(`avg(CAST("n" AS DOUBLE)) FILTER (WHERE "at" < TIMESTAMP '1970-01-01T00:00:02.000Z') AS before`);
  });

  it("quotes odd names everywhere", () => {
    const odd = 'a "b" c';
    const columns = new Map([[odd, text(odd)]]);
    const at = scope({ time: odd, span: { from: 0, to: 1 }, columns, filters: [{ column: odd, mode: "in", values: ["x"] }] });
    for (const sql of [boundsSql(odd), profileSql([text(odd)]), overviewSql(at, stepFor({ from: 0, to: 1 }, 10), [text(odd)], "max"), leaderboardSql(at, text(odd), rankSql(whole(odd), "sum"), 8, null)]) {
      expect(sql.replaceAll('"a ""b"" c"', "")).not.toContain(odd);
      expect(sql).toContain('"a ""b"" c"');
    }
  });
});

describe("answers", () => {
  const step: Step = { kind: "ms", ms: 1000, name: "second" };
  const overview = (names: string[], rows: unknown[][], aggregate: "sum" | "avg" | "max" | "count", measures = 1) =>
    overviewOf(resultFromJson(names, rows), { from: Date.UTC(1970, 0, 5), to: Date.UTC(1970, 0, 5) + 3000 }, step, measures, aggregate);
  const start = Date.UTC(1970, 0, 5);

  it("fills empty buckets and counts rows without a time in the whole", () => {
    const { buckets, rows, unarchived, values } = overview(["bucket", "rows", "m0", "unarchived"], [[start, 5, 10, 2], [start + 2000, 1, null, 0], [null, 4, 3, 1]], "sum");
    expect(buckets.map((bucket) => [bucket.rows, bucket.unarchived, bucket.values[0]])).toEqual([[5, 2, 10], [0, 0, null], [1, 0, null]]);
    expect([rows, unarchived, values]).toEqual([10, 3, [13]]);
  });

  it("weighs averages by their values", () => {
    const { buckets, values } = overview(["bucket", "rows", "m0", "c0", "unarchived"], [[start, 9, 10, 5, 0], [start + 1000, 1, 8, 1, 0]], "avg");
    expect(buckets.map((bucket) => bucket.values[0])).toEqual([2, 8, null]);
    expect(values).toEqual([3]);
    expect(overview(["bucket", "rows", "m0", "unarchived"], [[start, 9, "-7.50", 0], [start + 1000, 1, "-8.25", 0]], "max").values).toEqual([-7.5]);
  });

  it("reads both sides of the border", () => {
    const bounds = boundsOf(resultFromJson(["side", "first", "last", "rows", "timed"], [["live", 5000, 9000.5, 4, 3], ["archive", 1000, 6000, 10, 10]]));
    expect(bounds.archive).toEqual({ first: 1000, last: 6000, rows: 10, timed: 10 });
    expect(dataSpan(bounds)).toEqual({ from: 1000, to: 10_000 });
    expect(dataSpan(boundsOf(resultFromJson([], [])))).toBeNull();
  });

  it("reads leaders with values of every type as text", () => {
    const board = leaderboardOf(resultFromJson([{ name: "value", data_type: "Date32" }, "now", "groups", "whole"], [["2020-01-02", 3, 2, 5], [null, 2, 2, 5]]));
    expect(board).toEqual({ leaders: [{ value: "2020-01-02", now: 3, before: null }, { value: null, now: 2, before: null }], groups: 2, whole: 5 });
    expect(change(15, 10)).toBe(0.5);
    expect(change(-5, -10)).toBe(0.5);
    expect(change(5, 0)).toBeNull();
  });
});

describe("the address", () => {
  it("brings every state back", () => {
    let query: Record<string, string> = {};
    const set = (changes: Parameters<typeof changed>[1]): void => {
      query = parseRoute("/explore", formatRoute({ page: "explore", query: changed(query, changes) }).split("?")[1] ?? "").query;
    };
    set(customChanges(1000, 2000));
    set({ agg: "avg", by: "fare & tip", compare: "1" });
    const odd: Value[] = ["a,b", "back\\slash", null, "", "\\N", "ö 'x' \"y\"", "line\nbreak"];
    for (const value of odd) set(toggled(parseState(query).filters, "a.b=c,d", "in", value));
    expect(parseState(query)).toEqual({ range: { kind: "custom", from: 1000, to: 2000 }, aggregate: "avg", by: "fare & tip", compare: true, time: null, filters: [{ column: "a.b=c,d", mode: "in", values: odd }] });
    set(presetChanges("7d"));
    expect(parseState(query).range).toEqual({ kind: "preset", id: "7d" });
    set(noFilters(parseState(query).filters));
    set(presetChanges("all"));
    expect(parseState(query)).toMatchObject({ filters: [], range: { kind: "preset", id: "all" } });
  });

  it("turns a filter around and drops it with its last value", () => {
    const filters = [{ column: "k", mode: "in" as const, values: ["a"] }];
    expect(toggled(filters, "k", "in", "a")).toEqual({ "in.k": null, "not.k": null });
    expect(toggled(filters, "k", "not", "b")).toEqual({ "not.k": "b", "in.k": null });
    expect(filterChanges({ column: "k", mode: "not", values: ["a"] })).toEqual({ "not.k": "a", "in.k": null });
  });

  it("takes nonsense for the usual", () => {
    expect(parseState({ range: "never", agg: "median", from: "x", to: "2020", "in.": "a", compare: "yes" })).toEqual({ range: { kind: "preset", id: "all" }, aggregate: "sum", by: null, compare: false, time: null, filters: [] });
    expect(parseValues(formatValues([]))).toEqual([]);
  });
});

describe("asking", () => {
  function bench() {
    const started: { sql: string; signal: AbortSignal; answer: (rows: string) => void; fail: (error: unknown) => void }[] = [];
    const answers: [string, unknown][] = [];
    const problems: unknown[] = [];
    let old = 0;
    const loads: (() => Promise<void>)[] = [];
    const asking = new Asking<string>({
      run: (sql, signal) => new Promise((answer, fail) => started.push({ sql, signal, answer, fail })),
      refresher: (load) => {
        loads.push(load);
        return { poke: () => void load(), stop: () => undefined };
      },
      onAnswer: (rows, read) => answers.push([rows, read]),
      onProblem: (error) => problems.push(error),
      onOld: () => (old += 1),
    });
    return { asking, started, answers, problems, old: () => old };
  }

  it("withdraws a question when another is asked, and takes no answer of it", async () => {
    const { asking, started, answers, problems } = bench();
    asking.ask("a", "SELECT a", 1);
    asking.ask("b", "SELECT b", 2);
    expect(started.map(({ signal }) => signal.aborted)).toEqual([true, false]);
    started[0]?.answer("late");
    started[0]?.fail(new Error("aborted"));
    started[1]?.answer("b");
    await Promise.resolve();
    await Promise.resolve();
    expect(answers).toEqual([["b", 2]]);
    expect(problems).toEqual([]);
  });

  it("lets the same question over newer data wait for the one on its way", () => {
    const { asking, started, old } = bench();
    asking.ask("a", "SELECT 1", 1);
    asking.ask("a", "SELECT 2", 2);
    expect(started[0]?.signal.aborted).toBe(false);
    expect(old()).toBe(1);
    asking.stop();
  });
});
