/** What the Explore page knows: the table's columns, where its rows stand in time, and the answers that all panels share. */

import { ApiError } from "../api/client";
import type { TableInfo } from "../api/types";
import type { Column } from "../format/cell";
import type { Router } from "../shell/router.svelte";
import type { Dashboard } from "../state/dashboard.svelte";
import { Question } from "./ask.svelte";
import { byName, dimensionsOf, fieldsOf, type Dimension } from "./fields";
import { boundsOf, dataSpan, overviewOf, profileOf, type Bounds, type Overview } from "./overview";
import { boundsSql, everything, overviewSql, profileSql, SAMPLE_ROWS, type Scope } from "./questions";
import { before, isAll, PRESETS, spanOf, stepFor, type Span, type Step } from "./range";
import { parseState, type ExploreState } from "./state";

/** Buckets of the chart, and of the line of all history under it. */
const BUCKETS = 180;
const STRIP_BUCKETS = 200;
/** Measures that are asked for unless all are wanted: each costs time on many rows. */
export const FIRST_MEASURES = 7;

export interface Drawn {
  span: Span;
  step: Step;
  overview: Overview;
}

export class Explore {
  readonly #dashboard: Dashboard;
  readonly #router: Router;
  /** Rows that there were when the sample was taken. */
  #sampledOf = 0;
  table = $state.raw<TableInfo | null>(null);
  /** Why its columns could not be had. */
  tableProblem = $state.raw<string | null>(null);
  allMeasures = $state(false);

  readonly bounds: Question<Bounds>;
  readonly profile: Question<Dimension[]>;
  readonly now: Question<Drawn>;
  readonly previous: Question<Drawn>;
  readonly strip: Question<Drawn>;

  constructor(dashboard: Dashboard, router: Router) {
    this.#dashboard = dashboard;
    this.#router = router;
    this.bounds = new Question(dashboard.api);
    this.profile = new Question(dashboard.api);
    this.now = new Question(dashboard.api);
    this.previous = new Question(dashboard.api);
    this.strip = new Question(dashboard.api);
  }

  readonly state = $derived.by<ExploreState>(() => parseState(this.#router.route.query));
  readonly times = $derived(timesOf(this.table));
  readonly time = $derived(this.state.time !== null && this.times.includes(this.state.time) ? this.state.time : (this.table?.time ?? "ingested_at"));
  readonly fields = $derived(fieldsOf(this.table?.columns ?? [], this.time));
  readonly measures = $derived.by<Column[]>(() => {
    const { measures } = this.fields;
    if (this.allMeasures) return measures;
    const first = measures.slice(0, FIRST_MEASURES);
    const by = measures.find((column) => column.name === this.state.by);
    return by === undefined || first.includes(by) ? first : [...first.slice(0, -1), by];
  });
  readonly by = $derived(this.fields.measures.find((column) => column.name === this.state.by) ?? null);
  readonly columns = $derived(byName([...this.fields.candidates, ...this.fields.measures]));
  readonly data = $derived.by(() => (this.bounds.answer === null ? null : dataSpan(this.bounds.answer)));
  readonly span = $derived(this.data === null ? null : spanOf(this.state.range, this.data));
  readonly step = $derived(this.span === null ? null : stepFor(this.span, BUCKETS));
  readonly scope = $derived.by<Scope | null>(() => {
    if (this.span === null) return null;
    return { time: this.time, span: isAll(this.state.range) ? null : this.span, filters: this.state.filters, columns: this.columns };
  });
  /** The span before, where it is compared with; all history has none before it. */
  readonly compared = $derived(this.state.compare && this.span !== null && !isAll(this.state.range) ? before(this.span) : null);
  /** What makes a question another one, rather than the same one over newer data. */
  readonly key = $derived(JSON.stringify([this.state, this.time, this.measures.map(({ name }) => name)]));
  readonly rangeText = $derived(this.state.range.kind === "custom" ? "chosen range" : (PRESETS.find(({ id }) => this.state.range.kind === "preset" && id === this.state.range.id)?.long ?? ""));

  /** The columns anew: those of a pipeline that just began come with its first rows. */
  async loadTable(): Promise<void> {
    try {
      const tables = await this.#dashboard.api.json<TableInfo[]>("/api/tables");
      const events = tables.find((table) => table.name === "events") ?? null;
      if (JSON.stringify(events) !== JSON.stringify(this.table)) this.table = events;
      this.tableProblem = events === null ? "this program has no table `events`" : null;
    } catch (error) {
      this.tableProblem = error instanceof ApiError ? error.message : "the columns could not be read";
    }
  }

  /** The first question: where the rows stand in time. All others follow its answer. */
  askBounds(): void {
    this.bounds.ask(this.time, boundsSql(this.time), boundsOf);
  }

  /** A sample tells little of few rows: it is taken anew when there are twice as many, up to its size. */
  askProfile(): void {
    const { candidates } = this.fields;
    const { bounds } = this;
    const rows = bounds.answer === null ? 0 : bounds.answer.archive.rows + bounds.answer.live.rows;
    const key = JSON.stringify(candidates);
    if (this.profile.key === key && (rows < 2 * this.#sampledOf || this.#sampledOf >= SAMPLE_ROWS)) return;
    this.#sampledOf = Math.max(rows, 1);
    this.profile.ask(key, profileSql(candidates), (result) => {
      const { rows, distinct } = profileOf(result, candidates);
      return dimensionsOf(candidates, distinct, rows);
    });
  }

  askOverview(): void {
    const { scope, span, step, measures } = this;
    if (scope === null || span === null || step === null) return;
    const { aggregate } = this.state;
    this.now.ask(this.key, overviewSql(scope, step, measures, aggregate), (result) => ({ span, step, overview: overviewOf(result, span, step, measures.length, aggregate) }));
  }

  askPrevious(): void {
    const { scope, step, measures, compared } = this;
    if (scope === null || step === null || compared === null) {
      this.previous.stop();
      return;
    }
    const { aggregate } = this.state;
    this.previous.ask(this.key, overviewSql({ ...scope, span: compared }, step, measures, aggregate), (result) => ({
      span: compared,
      step,
      overview: overviewOf(result, compared, step, measures.length, aggregate),
    }));
  }

  askStrip(): void {
    const { data, time } = this;
    if (data === null) return;
    const step = stepFor(data, STRIP_BUCKETS);
    this.strip.ask(time, overviewSql(everything(time), step, [], "count"), (result) => ({ span: data, step, overview: overviewOf(result, data, step, 0, "count") }));
  }

  stop(): void {
    this.profile.key = null;
    for (const question of [this.bounds, this.profile, this.now, this.previous, this.strip]) question.stop();
  }
}

/** Columns that can be the time: the table's own, and when rows came in. */
function timesOf(table: TableInfo | null): string[] {
  const times = (table?.columns ?? []).filter((column) => /^timestamp/i.test(column.data_type)).map(({ name }) => name);
  const own = table?.time ?? null;
  return own === null ? times : [own, ...times.filter((name) => name !== own)];
}
