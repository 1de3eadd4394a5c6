// A pipeline that is made up, for work on the page without the program: time is the only input, so it looks the same each time.

const STREAM_ID = "5f0c2a1e-8f0e-4b1c-9a35-0d9e6c1f7b42";
const MIB = 1024 * 1024;
/** Where the scene `failed` ends. */
const FAILS_AT = 38_200;
/** When Kafka falls silent in the scene `away`, in seconds. */
const AWAY_AT = 45;

const FILES = [
  ["yellow_tripdata_2018-12.parquet", 10_000],
  ["yellow_tripdata_2019-01.parquet", 10_000],
  ["yellow_tripdata_2019-01.redelivery7500.parquet", 7_500],
  ["yellow_tripdata_2019-02.parquet", 10_000],
  ["yellow_tripdata_2019-03.parquet", 10_000],
  ["yellow_tripdata_2020-04.parquet", 10_000],
  ["yellow_tripdata_2020-05.parquet", 10_000],
  ["yellow_tripdata_2020-08.truncated.parquet", 0],
  ["yellow_tripdata_2020-09.parquet", 10_000],
  ["yellow_tripdata_2020-10.parquet", 10_000],
  ["yellow_tripdata_2020-11.parquet", 10_000],
  ["yellow_tripdata_2021.sample1000.parquet", 1_000],
];

const RULES = [
  ["unknown_zone", 0.41],
  ["distance", 0.27],
  ["forward", 0.13],
  ["fare", 0.11],
  ["type:rate_code_id", 0.06],
  ["window", 0.02],
];

/** Splits what was read of a file into outcomes, the same way each time. */
function outcomes(file, read) {
  const redelivery = file.includes("redelivery");
  const deduplicated = redelivery ? Math.floor(read * 0.985) : Math.floor(read * 0.0004);
  const rejected = redelivery ? Math.floor(read * 0.012) : Math.floor(read * 0.0195);
  const filtered = Math.floor(read * 0.0007);
  return { deduplicated, rejected, filtered, clean: read - deduplicated - rejected - filtered };
}

const add = (into, from) => {
  for (const key of Object.keys(into)) into[key] += from[key];
  return into;
};

export class Simulation {
  constructor({ scene = "running", speed = 420, ahead = 0, now = Date.now() } = {}) {
    this.scene = scene;
    this.speed = speed;
    this.startedAt = now - ahead * 1000;
    this.versions = [];
    this.archivedRead = 0;
    this.commits = 0;
    this.read = 0;
    this.tick(now);
  }

  get total() {
    return this.scene === "empty" ? 0 : FILES.reduce((sum, [, rows]) => sum + rows, 0);
  }

  /** Moves on to `now`; gives the version of the archive when a commit landed. */
  tick(now) {
    this.now = now;
    const seconds = (now - this.startedAt) / 1000;
    if (this.scene === "empty") return null;
    this.wobble = 1 + 0.22 * Math.sin(seconds / 4) + 0.1 * Math.sin(seconds * 1.7);
    const end = this.scene === "failed" ? Math.min(FAILS_AT, this.total) : this.total;
    const heard = this.scene === "away" ? Math.min(seconds, AWAY_AT) : seconds;
    const swaying = this.speed * (heard + 3 * Math.sin(heard / 9));
    this.read = this.scene === "done" ? end : Math.max(0, Math.min(end, Math.floor(swaying)));
    this.seconds = seconds;
    let landed = null;
    const due = this.scene === "failed" ? Math.min(seconds, 60) : seconds;
    while (this.commits < Math.floor(due / 8) && this.archivedRead < this.read) {
      const before = this.delivered(this.archivedRead).clean;
      this.commits += 1;
      const back = Math.max(0, Math.floor(due / 8) - this.commits) * 8;
      this.archivedRead = Math.max(this.archivedRead, Math.min(this.read, this.read - Math.floor(this.speed * (back + 0.6))));
      if ((this.read === this.total || this.away) && back === 0) this.archivedRead = this.read;
      const rows = this.delivered(this.archivedRead).clean - before;
      landed = this.commits;
      this.versions.unshift({ version: this.commits, at: new Date(now - back * 1000).toISOString(), rows, files: 1 + (this.commits % 3), bytes: rows * 31 + 4096 });
    }
    this.versions.length = Math.min(20, this.versions.length);
    return landed;
  }

  get finished() {
    return this.read === this.total && this.archivedRead === this.total && this.total > 0;
  }

  get state() {
    if (this.scene === "failed" && this.read >= FAILS_AT) return "failed";
    if (this.scene === "empty") return "waiting";
    if (this.seconds < 0.5) return "starting";
    return this.finished ? "done" : "running";
  }

  get away() {
    return this.scene === "away" && this.seconds > AWAY_AT;
  }

  get flowing() {
    return this.read < this.total && this.state === "running" && !this.away;
  }

  /** Rows of each file when `read` rows were read in order. */
  *perFile(read) {
    let left = read;
    for (const [file, rows] of this.scene === "empty" ? [] : FILES) {
      const taken = Math.min(left, rows);
      left -= taken;
      yield { file, rows, taken };
    }
  }

  delivered(read) {
    const sum = { deduplicated: 0, rejected: 0, filtered: 0, clean: 0 };
    for (const { file, taken } of this.perFile(read)) add(sum, outcomes(file, taken));
    return sum;
  }

  ledger() {
    const archived = [...this.perFile(this.archivedRead)];
    const files = [...this.perFile(this.read)].map(({ file, rows, taken }, index) => {
      const quarantined = file.includes("truncated");
      const now = outcomes(file, taken);
      const landed = outcomes(file, archived[index].taken);
      const done = taken === rows && archived[index].taken === rows;
      const settled = landed.clean + landed.rejected + now.deduplicated + now.filtered;
      return {
        file: `data/${file}`,
        sequence: index,
        state: quarantined ? "quarantined" : done ? "done" : taken === rows ? "published" : taken > 0 ? "reading" : "waiting",
        reason: quarantined ? "the footer is cut off: the file ends 2,113 bytes before the length that it names; write it anew, under another name or with another time" : null,
        size_bytes: quarantined ? 118_004 : rows * 28 + 9_000,
        rows,
        delivered: landed.clean,
        rejected: landed.rejected,
        deduplicated: now.deduplicated,
        filtered: now.filtered,
        unread: 0,
        in_flight: rows - settled,
      };
    });
    const total = { rows: 0, delivered: 0, rejected: 0, deduplicated: 0, filtered: 0, unread: 0, in_flight: 0 };
    for (const file of files) add(total, file);
    const broken = this.scene === "unbalanced";
    if (broken) total.delivered -= 12;
    return {
      balanced: !broken,
      problems: broken ? ["12 rows of `data/yellow_tripdata_2019-02.parquet` have no outcome; run `millstream verify` to find them"] : [],
      total,
      files,
    };
  }

  status() {
    const now = this.delivered(this.read);
    const archived = this.delivered(this.archivedRead);
    const rate = this.flowing ? this.speed * this.wobble : 0;
    const lag = this.away ? 31 : this.flowing ? Math.floor(rate * 0.06 * this.wobble) : 0;
    const files = this.ledger().files;
    const inState = (state) => files.filter((file) => file.state === state).length;
    const records = Math.ceil(this.read / 37);
    const at = new Date(this.now);
    return {
      pipeline: "taxi",
      version: "0.1.0",
      state: this.state,
      started_at: new Date(this.startedAt).toISOString(),
      uptime_seconds: (this.now - this.startedAt) / 1000,
      memory_bytes: Math.floor((96 + 22 * Math.min(1, this.read / 100_000) + 3 * (this.wobble ?? 1)) * MIB),
      memory_limit_bytes: 512 * MIB,
      source: {
        path: ["data/*.parquet"],
        pace: `${this.speed} rows/s`,
        watch: this.scene === "empty",
        files_waiting: inState("waiting"),
        files_reading: inState("reading"),
        files_done: inState("done") + inState("published"),
        files_quarantined: inState("quarantined"),
        rows_total: this.total,
        rows_read: this.read,
        rows_per_second: rate,
      },
      clean: { engine: "datafusion", ...now, late: Math.floor(this.read / 30_000), dedup_keys: now.clean, splits: this.#splits() },
      stream: this.#stream(records, rate),
      receive: { rows: now.clean + now.rejected - lag, rows_per_second: rate * 0.98, lag_rows: lag, lag_seconds: lag > 0 ? 0.018 * this.wobble : 0, repeats: 0, gaps: 0, event_times: this.flowing ? ["2020-04-02T00:00:00Z", "2020-04-05T11:12:00Z"] : null },
      table: {
        rows: now.clean,
        bytes: now.clean * 214,
        limit_bytes: 160 * MIB,
        segments: Math.ceil(this.read / 8192),
        rows_not_archived: now.clean - archived.clean,
        oldest_ingested_at: this.read > 0 ? new Date(this.startedAt).toISOString() : null,
        newest_event_time: this.read > 0 ? "2020-11-30T23:58:41Z" : null,
        partitions: [0, 1].map((partition) => ({ topic: "taxi", partition, segments: Math.ceil(this.read / 16_384), rows: Math.floor(now.clean / 2), bytes: now.clean * 107, rows_not_archived: Math.floor((now.clean - archived.clean) / 2) })),
      },
      archive: {
        path: "millstream-data/archive",
        version: this.commits > 0 ? this.commits : null,
        rows: archived.clean,
        files: this.versions.reduce((sum, version) => sum + version.files, 0),
        bytes: archived.clean * 31 + this.commits * 4096,
        reject_rows: archived.rejected,
        commits: this.commits,
        last_commit_at: this.versions[0]?.at ?? null,
        versions: this.versions,
      },
      rejects_by_rule: RULES.map(([rule, share]) => ({ rule, rows: Math.floor(now.rejected * share) })).filter((rule) => rule.rows > 0),
      freshness: this.flowing
        ? { p50_seconds: 0.148 * this.wobble, p99_seconds: 0.61 * this.wobble ** 2, visible_p50_seconds: 0.021 * this.wobble, visible_p99_seconds: 0.084 * this.wobble }
        : { p50_seconds: null, p99_seconds: null, visible_p50_seconds: null, visible_p99_seconds: null },
      latencies: this.#latencies(),
      messages: this.#messages(at),
    };
  }

  #latencies() {
    const typical = { read: 0.004, clean: 0.011, append: 0.006, receive: 0.013, visible: 0.021, archived: 4.2 };
    const on = this.flowing;
    return Object.entries(typical).map(([step, seconds]) => ({ step, p50_seconds: on ? seconds * this.wobble : null, p99_seconds: on ? seconds * 3.4 * this.wobble : null }));
  }

  #splits() {
    const file = this.flowing ? this.ledger().files.find(({ state }) => state === "reading") : undefined;
    return file === undefined ? [] : [{ file: file.file, first_row: 0, end_row: file.rows, next_row: file.rows - file.in_flight, since: new Date(this.now - 9000).toISOString() }];
  }

  #stream(records, rate) {
    const partition = (topic, partition, share) => {
      const end = Math.floor(records * share);
      const received = this.flowing || this.away ? Math.max(0, end - 2) : end;
      return { topic, partition, begin_offset: 0, end_offset: end, received_offset: received, archived_offset: Math.min(received, Math.floor((this.archivedRead / 37) * share)) };
    };
    const kafka = ["kafka", "away"].includes(this.scene);
    return {
      log: kafka ? "kafka" : "embedded",
      topic: "taxi",
      stream_id: STREAM_ID,
      trouble: this.away ? { since: this.#awaySince(), what: "127.0.0.1:9092/1: Connect to ipv4#127.0.0.1:9092 failed: Connection refused" } : null,
      partitions: [partition("taxi", 0, 0.52), partition("taxi", 1, 0.48), partition("taxi.rejects", 0, 0.04)],
      appends: Math.floor(records / 2),
      records,
      bytes: records * 37 * 118,
      rows_per_record: records > 0 ? 36.8 : 0,
      records_per_second: rate / 37,
      disk_bytes: kafka ? 0 : records * 37 * 131 + MIB,
    };
  }

  #awaySince() {
    return new Date(this.startedAt + AWAY_AT * 1000).toISOString();
  }

  #messages(at) {
    if (this.scene === "empty") return [{ at: new Date(this.startedAt).toISOString(), level: "warn", text: "no file matches `data/*.parquet`; waiting for one to appear" }];
    const list = [];
    if (this.away) {
      const text = `Kafka at \`127.0.0.1:9092\` does not answer since ${this.#awaySince()} (Connection refused). Rows wait where they are, nothing is lost, and all goes on by itself when it answers`;
      list.push({ at: new Date(this.startedAt + (AWAY_AT + 5) * 1000).toISOString(), level: "error", text });
    }
    if (this.state === "failed") {
      list.push({ at: at.toISOString(), level: "error", text: "the archive `millstream-data/archive` cannot be written: no space left on the device; free some space and start again, nothing is lost" });
    }
    if (this.read > 70_000) {
      list.push({ at: new Date(this.startedAt + 160_000).toISOString(), level: "warn", text: "`data/yellow_tripdata_2020-08.truncated.parquet` is quarantined: its footer is cut off; the other files go on" });
    }
    if (this.read > 10_000) list.push({ at: new Date(this.startedAt + 24_000).toISOString(), level: "info", text: "column `congestion_surcharge` appears from `data/yellow_tripdata_2019-01.parquet` on; earlier rows hold null" });
    list.push({ at: new Date(this.startedAt).toISOString(), level: "info", text: "12 files match `data/*.parquet`, 98,500 rows" });
    return list;
  }
}
