// What the mock says beyond the status: made up from the same simulation.

import { EVENT_COLUMNS, newestRows } from "./data.mjs";

const rule = (name, column, words, action, check, toml) => {
  const about = column === null ? {} : { column };
  return { name, column, check: words, action, toml: `${name} = { ${column === null ? "" : `column = "${column}", `}check = ${toml}, action = "${action}" }`, written: { ...about, check, action } };
};
const RULES = [
  rule("fare", "fare_amount", "0 to 500", "reject", { range: { min: 0, max: 500 } }, "{ range = { min = 0, max = 500 } }"),
  rule("forward", "dropoff_datetime", "> pickup_datetime", "reject", { compare: { op: ">", with: "pickup_datetime" } }, '{ compare = { op = ">", with = "pickup_datetime" } }'),
  rule("distance", "trip_distance", "0 to 200", "clamp", { range: { min: 0, max: 200 } }, "{ range = { min = 0, max = 200 } }"),
  rule("unknown_zone", null, "pickup_location_id NOT IN (264, 265)", "reject", { sql: "pickup_location_id NOT IN (264, 265)" }, '{ sql = "pickup_location_id NOT IN (264, 265)" }'),
];
const ORIGINAL = { VendorID: 2, tpep_pickup_datetime: "2020-04-02 10:11:12", tpep_dropoff_datetime: "2020-04-02 09:58:01", trip_distance: 2.71, fare_amount: -12.5, total_amount: -13.3 };
const CLEAN = { vendor_id: 2, pickup_datetime: "2020-04-02T10:11:12Z", dropoff_datetime: "2020-04-02T09:58:01Z", trip_distance: 2.71, fare_amount: "-12.50", total_amount: "-13.30" };

export const rules = () => RULES;

export function history(simulation) {
  const status = simulation.status();
  const seconds = Math.min(300, Math.floor(simulation.seconds ?? 0));
  return Array.from({ length: seconds }, (_sample, index) => {
    const back = seconds - index;
    const sway = 1 + 0.2 * Math.sin(index / 7);
    const moving = status.source.rows_per_second > 0 ? 1 : 0;
    return {
      at_millis: simulation.now - back * 1000,
      read: simulation.speed * sway * moving,
      received: simulation.speed * sway * 0.98 * moving,
      records: (simulation.speed / 37) * sway * moving,
      visible_p50_seconds: 0.021 * sway,
      visible_p99_seconds: 0.084 * sway,
      lag_rows: 20,
      lag_seconds: 0.02,
      clean: Math.max(0, status.clean.clean - Math.round(back * simulation.speed * 0.9)),
      rejected: Math.max(0, status.clean.rejected - Math.round(back * simulation.speed * 0.02)),
      archived: Math.max(0, status.archive.rows - Math.round(back * simulation.speed * 0.9)),
      event_times: moving === 0 ? null : [new Date(Date.UTC(2020, 3, 1) + index * 3_600_000).toISOString(), new Date(Date.UTC(2020, 3, 4) + index * 3_600_000 * (1 + 0.02 * Math.sin(index / 5))).toISOString()],
    };
  });
}

const NUMBERS = { trip_distance: [0.4, 19.2, 2.1], fare_amount: [2.5, 52.4, 9.1], tip_amount: [0, 11.2, 1.4], total_amount: [5.8, 66, 12.7], passenger_count: [1, 6, 1], vendor_id: [1, 2, 2] };

export function profile(simulation, minutes) {
  const sampled = Math.min(20_000, simulation.read);
  const bell = (middle) => Array.from({ length: 24 }, (_bar, at) => Math.round((sampled / 8) * Math.exp(-(((at - middle) / 4) ** 2))));
  const columns = EVENT_COLUMNS.map(({ name, data_type }) => {
    const base = { name, data_type, nulls: 0, distinct: 0, low: null, median: null, high: null, bars_from: null, bars_to: null, bars: [], top: [] };
    if (name in NUMBERS) {
      const [low, high, median] = NUMBERS[name];
      return { ...base, nulls: name === "passenger_count" ? Math.round(sampled * 0.07) : 0, distinct: 412, low, high, median, bars_from: low, bars_to: high, bars: bell(5) };
    }
    if (data_type.startsWith("Timestamp")) return { ...base, distinct: sampled, low: Date.UTC(2020, 3, 1), median: Date.UTC(2020, 3, 12), high: Date.UTC(2020, 3, 30), bars_from: Date.UTC(2020, 3, 1), bars_to: Date.UTC(2020, 3, 30), bars: bell(12) };
    return { ...base, distinct: 4, top: [["Card", 0.72], ["Cash", 0.24], ["No charge", 0.03], ["Dispute", 0.01]].map(([value, share]) => ({ value, rows: Math.round(share * sampled) })) };
  });
  return { minutes, rows: simulation.read, sampled, columns: sampled === 0 ? [] : columns };
}

export function archive(simulation) {
  const { archive: lake } = simulation.status();
  const versions = simulation.versions.map((version) => ({ ...version, operation: "WRITE", columns: [] }));
  const partitions = ["2018-12", "2019-01", "2019-02", "2019-03", "2020-04", "2020-05"].map((partition, index) => ({ partition, files: 2 + index, rows: Math.round(lake.rows / 6), bytes: Math.round(lake.bytes / 6) }));
  const files = Array.from({ length: lake.files }, (_file, index) => ({ path: `_partition=2020-04/part-${index}.parquet`, partition: "2020-04", rows: 500, bytes: 9_000 + ((index * 7919) % 90_000), at: new Date(simulation.now).toISOString() }));
  const has = lake.version !== null;
  return { version: lake.version, rows: lake.rows, bytes: lake.bytes, file_count: lake.files, columns: has ? EVENT_COLUMNS.map((column) => ({ ...column, nullable: true })) : [], partitions: has ? partitions : [], files, versions };
}

export function row(simulation, file, number) {
  const { columns, rows } = newestRows(simulation, 1);
  const types = EVENT_COLUMNS.map(({ name, data_type }) => ({ name, data_type }));
  const values = (rows[0] ?? []).map((value, index) => (columns[index] === "_file" ? file : columns[index] === "_row" ? number : value));
  return {
    outcome: rows.length === 0 ? "not_there" : "delivered",
    columns: types,
    values,
    log: { topic: "rows", partition: 1, offset: 712, first_offset: 712, end_offset: 713, in_live: true },
    archive: { file: "_partition=2020-04/part-00007.parquet", version: 9, at: new Date(simulation.now - 60_000).toISOString() },
    rules: RULES,
  };
}

/** Rejected rows, cleaned again: a changed line lets most of them pass; one with `oops` in it is a mistake. */
export function preview(simulation, { toml, rules }) {
  if (toml?.includes("oops")) return { error: "pipeline.toml:45:52: clean.rules.fare.check.range.min: `oops` is not a number\n   |\n45 | fare = { column = \"fare_amount\", check = { range = { min = \"oops\" } }, action = \"reject\" }\n   |                                                          ^^^^^^" };
  const rows = simulation.status().rejects_by_rule.filter(({ rule: name }) => rules === null || rules.includes(name)).reduce((sum, { rows: many }) => sum + many, 0);
  const delivered = Math.floor(rows * (toml === null ? 0.6 : 0.93));
  const file = "data/yellow_tripdata_2020-04.parquet";
  const gone = { file: "data/yellow_tripdata_2019-01.parquet", rows: 4, delivered: 0, rejected: 4, refused: "it was changed since: its rows stay rejected" };
  const sample = Array.from({ length: rows > 0 ? 5 : 0 }, (_row, at) => ({ file, row: 9000 - at * 7, original: ORIGINAL, clean: at === 2 ? null : CLEAN, reasons: at === 2 ? ["2020-04-02 09:58:01 is not > pickup_datetime"] : [] }));
  const counts = { rows, delivered, duplicates: 3, filtered: 0, rejected: rows - delivered - 3 };
  return { ...counts, files: [{ file, rows, delivered, rejected: rows - delivered, refused: null }, gone], looked_at: rows, by_rule: [{ rule: "fare", before: rows, after: rows - delivered - 3 }, { rule: "forward", before: 14, after: 14 }], sample };
}

/** Answers of the few statements that the page writes itself. */
export function sql(simulation, statement) {
  const status = simulation.status();
  const text = (name) => ({ name, data_type: "Utf8" });
  const number = (name) => ({ name, data_type: "Int64" });
  const time = (name) => ({ name, data_type: 'Timestamp(Microsecond, Some("UTC"))' });
  const iso = (back) => new Date(simulation.now - back * 1000).toISOString();
  if (statement.includes("min(ingested_at)")) return { columns: [time("first"), time("last")], rows: [[iso(90), iso(1)]] };
  if (statement.includes("unnest(rules)")) return { columns: [text("rule"), number("rows")], rows: status.rejects_by_rule.map(({ rule, rows }) => [rule, rows]) };
  if (statement.includes("_file AS file")) return { columns: [text("file"), number("rows")], rows: simulation.ledger().files.filter(({ rejected }) => rejected > 0).map(({ file, rejected }) => [file, rejected]).sort((left, right) => right[1] - left[1]) };
  if (statement.includes("date_bin")) return { columns: [time("at"), number("rows")], rows: Array.from({ length: 30 }, (_bar, index) => [iso(90 - index * 3), 8 + ((index * 37) % 19)]) };
  if (statement.includes("original")) {
    const original = JSON.stringify(ORIGINAL);
    const rows = Array.from({ length: status.clean.rejected > 0 ? 40 : 0 }, (_reject, index) => [
      "data/yellow_tripdata_2020-04.parquet",
      9000 - index * 7,
      iso(index * 2),
      index % 3 === 0 ? ["fare", "forward"] : ["fare"],
      index % 3 === 0 ? ["-12.50 is below 0", "2020-04-02 09:58:01 is not > pickup_datetime"] : ["-12.50 is below 0"],
      original,
    ]);
    return { columns: [text("_file"), number("_row"), time("ingested_at"), text("rules"), text("reasons"), text("original")], rows };
  }
  return { columns: EVENT_COLUMNS, rows: newestRows(simulation, 20).rows };
}
