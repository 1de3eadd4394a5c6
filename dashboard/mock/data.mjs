// Rows and view data for the mock: plausible taxi trips, the more the further the made-up pipeline is.

import { Float64, Int64, TimestampMicrosecond, Utf8, vectorFromArray, Table, tableToIPC } from "apache-arrow";

const PAYMENTS = ["Card", "Cash", "No charge", "Dispute"];
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** A number in [0, 1) that depends on nothing but `seed`. */
const chance = (seed) => {
  const value = Math.sin(seed * 127.1 + 311.7) * 43_758.5453;
  return value - Math.floor(value);
};

export const EVENT_COLUMNS = [
  ["vendor_id", "Int32"],
  ["pickup_datetime", 'Timestamp(Microsecond, Some("UTC"))'],
  ["dropoff_datetime", 'Timestamp(Microsecond, Some("UTC"))'],
  ["passenger_count", "Int32"],
  ["trip_distance", "Float64"],
  ["payment_type", "Utf8"],
  ["fare_amount", "Decimal128(10, 2)"],
  ["tip_amount", "Decimal128(10, 2)"],
  ["total_amount", "Decimal128(10, 2)"],
  ["ingested_at", 'Timestamp(Microsecond, Some("UTC"))'],
  ["_file", "Utf8"],
  ["_row", "Int64"],
  ["_marks", "List(Utf8)"],
].map(([name, data_type]) => ({ name, data_type }));

export function newestRows(simulation, limit = 30) {
  const rows = [];
  for (let index = 0; index < Math.min(limit, simulation.read); index += 1) {
    const id = simulation.read - index;
    const distance = 0.4 + chance(id) ** 3 * 18;
    const fare = 2.5 + distance * 2.6;
    const tip = chance(id + 5) > 0.35 ? fare * 0.2 : 0;
    const pickup = Date.UTC(2020, 3, 1) + Math.floor(chance(id + 1) * 30 * DAY);
    const iso = (ms) => new Date(ms).toISOString().replace(".000Z", "Z");
    rows.push([
      1 + (id % 2),
      iso(Math.floor(pickup / 1000) * 1000),
      iso(Math.floor((pickup + distance * 190_000) / 1000) * 1000),
      chance(id + 2) > 0.97 ? null : 1 + Math.floor(chance(id + 3) ** 4 * 6),
      Number(distance.toFixed(2)),
      PAYMENTS[Math.floor(chance(id + 4) ** 2.4 * 4)],
      fare.toFixed(2),
      tip.toFixed(2),
      (fare + tip + 3.3).toFixed(2),
      iso(simulation.now - index * 4),
      "data/yellow_tripdata_2020-04.parquet",
      id % 10_000,
      chance(id + 6) > 0.94 ? ["distance:clamp"] : null,
    ]);
  }
  return { columns: EVENT_COLUMNS.map(({ name }) => name), rows };
}

const micros = (list) => vectorFromArray(list, new TimestampMicrosecond("UTC"));
const ints = (list) => vectorFromArray(list.map(BigInt), new Int64());
const floats = (list) => vectorFromArray(list, new Float64());
const texts = (list) => vectorFromArray(list, new Utf8());

const range = (length) => Array.from({ length }, (_item, index) => index);

export const VIEWS = [
  {
    name: "trips_per_day",
    sql: "SELECT date_bin(interval '1 day', pickup_datetime) AS day, count(*) AS trips FROM events GROUP BY 1 ORDER BY 1",
    chart: { kind: "area", x: "day", y: "trips", series: null },
    table: (share) => {
      const days = range(90);
      return { day: micros(days.map((day) => Date.UTC(2020, 2, 1) + day * DAY)), trips: ints(days.map((day) => Math.round(share * (380 + 130 * Math.sin(day / 1.12) + 90 * chance(day) - 2.2 * day)))) };
    },
  },
  {
    name: "revenue_by_payment",
    sql: "SELECT date_bin(interval '1 day', pickup_datetime) AS day, payment_type, sum(total_amount) AS revenue FROM events GROUP BY 1, 2 ORDER BY 1, 2",
    chart: { kind: "line", x: "day", y: "revenue", series: "payment_type" },
    table: (share) => {
      const pairs = range(60).flatMap((day) => ["Card", "Cash", "No charge"].map((payment, index) => [day, payment, index]));
      return {
        day: micros(pairs.map(([day]) => Date.UTC(2020, 8, 1) + day * DAY)),
        payment_type: texts(pairs.map(([, payment]) => payment)),
        revenue: floats(pairs.map(([day, , index]) => share * [5200, 2300, 240][index] * (1 + 0.3 * Math.sin(day / 1.1 + index) + 0.2 * chance(day * 7 + index)))),
      };
    },
  },
  {
    name: "trips_by_passengers",
    sql: "SELECT passenger_count, count(*) AS trips FROM events GROUP BY 1 ORDER BY 1",
    chart: { kind: "bar", x: "passenger_count", y: "trips", series: null },
    table: (share) => ({ passenger_count: ints(range(6).map((index) => index + 1)), trips: ints([64_210, 13_904, 3_770, 1_590, 3_911, 2_204].map((value) => Math.round(value * share))) }),
  },
  {
    name: "fare_by_distance",
    sql: "SELECT trip_distance, fare_amount FROM live LIMIT 400",
    chart: { kind: "scatter", x: "trip_distance", y: "fare_amount", series: null, fit: true },
    table: (share) => {
      const ids = range(Math.ceil(400 * share));
      const distance = ids.map((id) => 0.3 + chance(id) ** 2.4 * 20);
      return { trip_distance: floats(distance), fare_amount: floats(ids.map((id, at) => 2.5 + distance[at] * (2 + chance(id + 9) * 1.4) + (chance(id + 3) > 0.97 ? 30 : 0))) };
    },
  },
  {
    name: "busy_hours",
    sql: "SELECT hour, weekday, trips FROM …",
    chart: { kind: "heatmap", x: "hour", y: "weekday", series: null, value: "trips" },
    table: (share) => {
      const pairs = range(168);
      const days = ["Sun", "Sat", "Fri", "Thu", "Wed", "Tue", "Mon"];
      return {
        hour: ints(pairs.map((at) => at % 24)),
        weekday: texts(pairs.map((at) => days[Math.floor(at / 24)])),
        trips: ints(pairs.map((at) => Math.round(share * (60 + 320 * Math.max(0, Math.sin(((at % 24) - 5) / 5.8)) * (0.7 + 0.5 * chance(at)))))),
      };
    },
  },
  {
    name: "mean_fare",
    sql: "SELECT avg(fare_amount) AS mean_fare_usd FROM events",
    chart: { kind: "number", x: null, y: "mean_fare_usd", series: null },
    table: (share) => ({ mean_fare_usd: floats([12.4 + share * 0.371]) }),
  },
  {
    name: "total_distance",
    sql: "SELECT sum(trip_distance) AS miles FROM events",
    chart: { kind: "number", x: null, y: "miles", series: null },
    table: (share) => ({ miles: floats([281_402.3 * share]) }),
  },
  {
    name: "busiest_zones",
    sql: "SELECT pickup_location_id AS zone_id, count(*) AS trips, avg(total_amount) AS mean_total FROM events GROUP BY 1 ORDER BY 2 DESC LIMIT 8",
    chart: null,
    table: (share) => ({
      zone_id: ints([237, 236, 161, 186, 162, 230, 170, 48]),
      trips: ints([4_120, 3_911, 3_640, 3_502, 3_410, 3_208, 2_990, 2_871].map((value) => Math.round(value * share))),
      mean_total: floats(range(8).map((index) => 15 + chance(index) * 4)),
    }),
  },
];

const rowsPerMinute = (share, now) => {
  const minutes = range(Math.max(1, Math.ceil(share * 12)));
  const start = Math.floor(now / 60_000) * 60_000 - (minutes.length - 1) * 60_000;
  return { minute: micros(minutes.map((minute) => start + minute * 60_000)), rows: ints(minutes.map((minute) => 21_000 + Math.floor(5_000 * chance(minute)))) };
};

/** What the program shows when the pipeline file has no view. */
export const STANDARD_VIEW = {
  name: "rows_per_minute",
  sql: "SELECT date_bin(interval '1 minute', ingested_at) AS minute, count(*) AS rows FROM live GROUP BY 1 ORDER BY 1",
  chart: { kind: "bar", x: "minute", y: "rows", series: null },
};

/** The table of a view; null when there is none of that name. */
export function resultTable(name, simulation) {
  const share = simulation.total === 0 ? 0 : simulation.read / simulation.total;
  if (name === STANDARD_VIEW.name) return new Table(share === 0 ? { minute: micros([]), rows: ints([]) } : rowsPerMinute(share, simulation.now));
  const view = VIEWS.find((candidate) => candidate.name === name);
  if (view === undefined) return null;
  const table = new Table(view.table(share));
  return share === 0 ? table.slice(0, 0) : table;
}

export const arrowBytes = (table) => tableToIPC(table, "stream");

export function jsonResult(table) {
  const columns = table.schema.fields.map((field) => ({ name: field.name, data_type: String(field.type).replace("<MICROSECOND, UTC>", '(Microsecond, Some("UTC"))') }));
  const rows = table.toArray().map((row) =>
    columns.map(({ name, data_type }) => {
      const value = row[name];
      if (data_type.startsWith("Timestamp")) return new Date(Number(value)).toISOString();
      return typeof value === "bigint" ? Number(value) : value;
    }),
  );
  return { columns, rows, truncated: false, elapsed_ms: 2 };
}
